"""How long a seam takes, beside SciPy's maximum flow on the same graph, in one run.

    python benchmarks/seam.py [--data FOLDER] [--rounds N] [--out benchmarks/results/seam.md]

The data folder holds photos/hays_efros: photos with masks (dark = hole) and a folder of scenes for each. The scenes are laid
over the photo as wholes. Processor times of this process, best of the rounds, medians over the scenes; SciPy's of the first.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import sparse
from scipy.sparse.csgraph import maximum_flow

from ce_retrieval.completion.scenes.seam import SeamFinder
from ce_retrieval.pixels import distance_from

ROOT = Path(__file__).resolve().parents[1]
SCENES = 3
BAND = 62_000
PARTS = 1 << 20  # SciPy's capacities are int32


def loaded(home: Path, name: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    photo = Image.open(home / f"{name}.jpg").convert("RGB")
    hole = np.asarray(Image.open(home / f"{name}_mask.jpg").convert("L")) < 128
    files = sorted((home / name).iterdir())[:SCENES]
    return np.asarray(photo), hole, [np.asarray(Image.open(f).convert("RGB").resize(photo.size, 3)) for f in files]


def reach_of_band(hole: np.ndarray) -> int:
    """The reach whose band is nearest to BAND pixels."""
    distance = np.sort(distance_from(hole)[~hole])
    return round(float(distance[min(BAND, len(distance)) - 1]))


def by_scipy(photo: np.ndarray, scene: np.ndarray, hole: np.ndarray, reach: int) -> tuple[float, float]:
    """Processor seconds of SciPy's solver alone, and its flow: costs as in `ce_retrieval.completion.scenes.seam`, built anew."""
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(~hole)
    count = int(((distance <= reach) & ~hole).sum())
    number = np.full(hole.shape, count + 1)
    number[hole] = count
    number[(distance <= reach) & ~hole] = np.arange(count)
    difference = (photo.astype(np.float64) - scene) / 255
    one, other, costs = [], [], []
    total, measured = np.zeros(hole.shape), np.zeros(hole.shape)
    pairs = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))
    for near, far in pairs:
        cost = np.linalg.norm(difference[near] - difference[far], axis=-1)
        cost[hole[near] | hole[far]] = 0
        known = ~(hole[near] | hole[far])
        for side in (near, far):
            total[side] += cost
            measured[side] += known
        costs.append(cost)
    mean = total / np.maximum(measured, 1)
    for (near, far), cost in zip(pairs, costs, strict=True):
        border = hole[near] ^ hole[far]
        cost[border] = np.where(hole[near], mean[far], mean[near])[border]
        one.append(number[near].ravel())
        other.append(number[far].ravel())
    one, other, cost = np.concatenate(one), np.concatenate(other), np.concatenate([c.ravel() for c in costs])
    apart = one != other
    one, other, cost = one[apart], other[apart], cost[apart]
    unary = (0.002 * 1024 / max(hole.shape) * distance[(distance <= reach) & ~hole]) ** 3
    rows = np.concatenate([one, other, np.arange(count)])
    cols = np.concatenate([other, one, np.full(count, count + 1)])
    values = np.rint(np.concatenate([cost, cost, unary]) * PARTS).astype(np.int32)
    graph = sparse.csr_matrix((values, (rows, cols)), shape=(count + 2, count + 2))
    start = time.process_time()
    flow = maximum_flow(graph, count, count + 1).flow_value
    return time.process_time() - start, flow / PARTS


def row(home: Path, name: str, reach: int | None, rounds: int) -> str:
    photo, hole, scenes = loaded(home, name)
    if reach is None:
        reach = reach_of_band(hole)
    start = time.process_time()
    domain = distance_from(hole) <= reach
    finder = SeamFinder(hole, domain)
    prepared = time.process_time() - start
    ours, theirs = np.full((2, len(scenes)), np.inf)
    worst, taken = 0.0, 0
    for number in range(rounds):
        for place, scene in enumerate(scenes):
            start = time.process_time()
            seam = finder.find(photo, scene)
            ours[place] = min(ours[place], time.process_time() - start)
            if number == 0 and place == 0:
                seconds, flow = by_scipy(photo, scene, hole, reach)
                theirs[place] = min(theirs[place], seconds)
                worst = max(worst, abs(flow - seam.cost) / flow)
            taken = max(taken, int(seam.taken.sum() - hole.sum()))
    band = int((domain & ~hole).sum())
    return (
        f"| {name}, {reach} px | {hole.sum():,} | {band:,} | {1000 * prepared:.0f} | {1000 * np.median(ours):.0f} | "
        f"{1000 * theirs[0]:.0f} | {theirs[0] / ours[0]:.1f}x | {worst:.0e} | {taken:,} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "seam.md")
    arguments = parser.parse_args()
    home = arguments.data / "photos" / "hays_efros"
    rows = [row(home, f"input{i}", reach, arguments.rounds) for i in (1, 2, 3) for reach in (16, None)]
    lines = [
        "# Seam: time of a minimum cut",
        "",
        f"`python benchmarks/seam.py`: three photos of 800 px with hand-drawn holes, {SCENES} scenes each, laid over as "
        f"wholes; one thread, processor time, best of {arguments.rounds} rounds (SciPy: one, of the first scene), "
        f"median over the scenes; Python {platform.python_version()}, "
        f"{platform.machine()}, load average at the end {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores. `find` is all that a scene costs: edge costs, graph, flow, cut. SciPy's time is "
        f"of `maximum_flow` alone, without building its graph. The preparation is paid once for a hole.",
        "",
        "| photo, reach | hole, px | band, px | prepare, ms | `find`, ms | SciPy, ms | ratio | largest difference in cost | "
        "most pixels cut |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
