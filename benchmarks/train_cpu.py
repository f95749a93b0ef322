"""Training rate on the CPU: the default engine of `ceret train` against eager float32 in contiguous layout.

    python benchmarks/train_cpu.py photos.h5 [--steps 12] [--rounds 3] [--out benchmarks/results/train_cpu.md]

photos.h5: packed by `ceret pack --size 284` (at least 227, the largest network's input). Rounds of the two engines
alternate, so other load on the machine affects both; the best round of each counts. The preparation of the inputs (crop,
resize, flip, colour, hole) is timed separately on the same batches, as a share of the fast step.
"""

import argparse
import time
from pathlib import Path

import torch

from ce_retrieval.training import open_photos, preset_config
from ce_retrieval.training.config import ENGINES
from ce_retrieval.training.data import Batches
from ce_retrieval.training.holes import hole_maker
from ce_retrieval.training.learner import Learner
from ce_retrieval.training.team import Team

CPU = torch.device("cpu")


def seconds_a_step(learner, batches, steps):
    start = time.perf_counter()
    for step in range(steps):
        learner.update(*batches.draw(step), 0.5)
    return (time.perf_counter() - start) / steps


def seconds_a_draw(batches, steps):
    start = time.perf_counter()
    for step in range(steps):
        batches.draw(step)
    return (time.perf_counter() - start) / steps


def measure(preset, photos, batch, steps, rounds):
    config = preset_config(preset, batch=batch, steps=1000)
    batches = Batches(photos, config, hole_maker(config, CPU), CPU, Team())
    learners = {name: Learner(config, CPU, ENGINES[name], Team()) for name in ("fast", "plain")}
    found = {name: [] for name in (*learners, "input")}
    for learner in learners.values():
        seconds_a_step(learner, batches, 2)
    for _ in range(rounds):
        for name, learner in learners.items():
            found[name].append(seconds_a_step(learner, batches, steps))
        found["input"].append(seconds_a_draw(batches, steps))
    best = {name: min(values) for name, values in found.items()}
    rates = {name: batch / best[name] for name in learners}
    return (
        f"| {preset} | {batch} | {rates['plain']:.1f} | {rates['fast']:.1f} | {best['plain'] / best['fast']:.2f} | "
        f"{100 * best['input'] / best['fast']:.1f} |"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--presets", default="compact,paper-region")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    photos, _ = open_photos([options.photos], 284)
    lines = [
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {len(photos)} photos packed at {photos.size} px",
        "",
        "| preset | batch | plain, photos/s | fast, photos/s | ratio | input side, % of a fast step |",
        "|---|---|---|---|---|---|",
    ]
    for preset in options.presets.split(","):
        lines.append(measure(preset, photos, options.batch, options.steps, options.rounds))
        print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(f"# Training on the CPU\n\n{text}")


if __name__ == "__main__":
    main()
