"""How long the blends of all candidates of one query take, beside one direct solve after another, in one run.

    python benchmarks/poisson.py [--side N] [--sources K] [--rounds N] [--out benchmarks/results/poisson.md]

The domain is a square of side x side unknowns in a photo that is 40 px larger, the hole is 16 px smaller on each side, the
seams lie somewhere between; smooth random photos with grain. Processor times of one thread, for a busy machine stretches
the wall time; best of alternating rounds.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.sparse.linalg import splu

from ce_retrieval.completion.blend.poisson import PoissonSolver

ROOT = Path(__file__).resolve().parents[1]


def images(count: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Float32 (count, size, size, 3) in [0.3, 0.7]."""
    raw = rng.random((count, size, size, 3), dtype=np.float32)
    soft = gaussian_filter(raw, (0, 12, 12, 0)) * 20 - 9.5
    return (0.5 + 0.15 * np.clip(soft, -1, 1) + 0.05 * (raw - 0.5)).astype(np.float32)


def reference(domain: np.ndarray, taken: np.ndarray, source: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """The blend by a Laplacian of the whole photo and SciPy's LU as it comes, unclipped: float64 (H, W, 3)."""
    height, width = domain.shape
    flat = np.arange(domain.size).reshape(domain.shape)
    one = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
    other = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
    ones = np.ones(len(one))
    rows = np.tile(np.arange(len(one)), 2)
    step = sparse.csr_matrix((np.concatenate([ones, -ones]), (rows, np.concatenate([one, other]))))
    use = (taken.ravel()[one] | taken.ravel()[other])[:, None]
    guidance = np.where(use, step @ source.reshape(-1, 3).astype(float), step @ photo.reshape(-1, 3).astype(float))
    laplacian = (step.T @ step).tocsr()
    inside = domain.ravel()
    known = photo.reshape(-1, 3).astype(float)
    right = (step.T @ guidance)[inside] - laplacian[inside][:, ~inside] @ known[~inside]
    result = known.copy()
    result[inside] = splu(laplacian[inside][:, inside].tocsc()).solve(right)
    return result.reshape(height, width, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "poisson.md")
    arguments = parser.parse_args()
    side, size = arguments.side, arguments.side + 40
    rng = np.random.default_rng(0)
    domain, hole = np.zeros((2, size, size), dtype=bool)
    domain[20:-20, 20:-20] = True
    hole[36:-36, 36:-36] = True
    photo, *stack = images(arguments.sources + 1, size, rng)
    sources = np.stack(stack)
    distance = distance_transform_edt(~hole)
    taken = np.stack([distance <= 8 + 7 * gaussian_filter(rng.normal(size=hole.shape), 15) * 50 for _ in sources])
    taken = (taken & domain) | hole

    rows: dict[str, list[float]] = {}
    residuals: dict[str, float] = {}
    for _ in range(arguments.rounds):
        start = time.process_time()
        solver = PoissonSolver(domain)
        prepared = time.process_time() - start
        rows.setdefault("the domain alone, paid once", []).append(prepared)
        for name, mixed, workers in (("", False, 1), (", mixed gradients", True, 1)):
            key = f"in all, `workers={workers}`{name}"
            start = time.process_time()
            blend = solver.compose(sources, photo, taken, hole, mixed=mixed, workers=workers)
            rows.setdefault(key, []).append(prepared + time.process_time() - start)
            residuals[key] = blend.residual
    start = time.process_time()
    expected = reference(domain, taken[0], sources[0], photo)
    one_reference = time.process_time() - start
    fill = solver.compose(sources[:1], photo, taken[:1], hole).fills[0]
    error = 255 * np.abs(fill - np.clip(expected, 0, 1)).max()
    iterated = PoissonSolver(domain, direct_limit=0)
    start = time.process_time()
    by_steps = iterated.compose(sources[:1], photo, taken[:1], hole)
    steps_taken = time.process_time() - start
    steps_error = 255 * np.abs(by_steps.fills[0] - np.clip(expected, 0, 1)).max()
    lines = [
        "# Poisson blends of one query's candidates",
        "",
        f"`python benchmarks/poisson.py`: {side * side:,} unknowns, {arguments.sources} sources x 3 channels, each source with a "
        f"seam of its own; processor time, best of {arguments.rounds} rounds; Python {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} cores, load average at the end "
        f'{os.getloadavg()[0]:.1f}. "In all" holds the preparation too.',
        "",
        "| `PoissonSolver.compose` | s | largest residual |",
        "|---|---:|---:|",
        *(f"| {k} | {min(v):.2f} | {f'{residuals[k]:.0e}' if k in residuals else ''} |" for k, v in rows.items()),
        "",
        f"Beside a direct solve built in another way (SciPy's LU with its defaults, {one_reference:.1f} s for one source): "
        f"largest difference {error:.4f} of a step of 8 bits. The iteration that serves domains of more than 200,000 px: "
        f"{steps_taken:.2f} s a source, residual {by_steps.residual:.0e}, {steps_error:.4f} of a step.",
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
