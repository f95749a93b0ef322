"""The paper's training schedule on a GPU: photos/s of `ceret train` against an eager float32 DataLoader loop.

    python benchmarks/train_gpu.py [--steps 200] [--batch 256] [--out benchmarks/results/train_gpu.md] [--device cuda|cpu]

AlexNet (`paper-region`, 227 x 227) on random photos, in one run on one card: the engine, the baseline (a DataLoader that
crops, flips and normalises on the host, eager float32, contiguous layout, unfused Adam), the engine with one part switched
off at a time, and last the engine with torch.compile, which takes a minute or two to begin. Each row is printed and
written as it comes. Utilisation is the network's FLOP/s (counted on one step, forward and backward) over the card's
measured bfloat16 rate in a large matrix product. Try it without a card by `--device cpu --steps 5 --batch 8`.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from ce_retrieval.training import PackedPhotos, preset_config
from ce_retrieval.training.config import ENGINES
from ce_retrieval.training.data import Batches
from ce_retrieval.training.holes import hole_maker
from ce_retrieval.training.learner import Learner
from ce_retrieval.training.team import Team, choose_device

HOST_PHOTOS = 256
PAPER_STEPS, PAPER_BATCH, PAPER_HOURS = 100_000, 64, 14


def synthetic_photos(count, size):
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return PackedPhotos(pixels, tuple(map(str, range(count))), ("",) * count, "random")


class HostPhotos(Dataset):
    """A usual loader: one photo at a time on the host, float32. Every worker gets the photos sent: keep them few."""

    def __init__(self, pixels, size, length):
        self.pixels, self.size, self.length = pixels, size, length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        top, left = rng.integers(0, self.pixels.shape[1] - self.size + 1, 2)
        crop = self.pixels[index % len(self.pixels), top : top + self.size, left : left + self.size]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        return torch.from_numpy(crop.astype(np.float32).transpose(2, 0, 1).copy()).div_(127.5).sub_(1)


def finish(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(step, count, device, warm=3):
    for number in range(warm):
        step(number)
    finish(device)
    start = time.perf_counter()
    for number in range(warm, warm + count):
        step(number)
    finish(device)
    return (time.perf_counter() - start) / count


def baseline(config, photos, device, steps, workers):
    learner = Learner(config, device, ENGINES["plain"], Team())
    maker = hole_maker(config, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    dataset = HostPhotos(photos.pixels[:HOST_PHOTOS], config.network.size, config.batch * (steps + 4))
    start = "spawn" if workers else None
    loader = iter(DataLoader(dataset, config.batch, num_workers=workers, multiprocessing_context=start))

    def step(_number):
        holes = maker.draw(config.batch, generator)
        learner.update(next(loader).to(device), holes.to(device), 0.5)

    return timed(step, steps, device)


def engine(config, photos, device, steps, *, resident=None, **parts):
    learner = Learner(config, device, replace(ENGINES["fast"], **parts), Team())
    maker = hole_maker(config, device)
    batches = Batches(photos, config, maker, device, Team(), resident=resident)
    try:
        return timed(lambda number: learner.update(*batches.draw(number), 0.5), steps, device, warm=5)
    finally:
        batches.close()


def flops_a_step(config, photos, device):
    learner = Learner(config, device, ENGINES["plain"], Team())
    maker = hole_maker(config, device)
    inputs = Batches(photos, config, maker, device, Team()).draw(0)
    with FlopCounterMode(display=False) as counter:
        learner.update(*inputs, 0.5)
    return counter.get_total_flops()


def measured_rate(device):
    side = 8192 if device.type == "cuda" else 128
    left, right = (torch.randn((side, side), device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * side**3 / timed(lambda _number: left @ right, 20, device)


BASELINE = "eager float32 DataLoader loop"
VARIANTS = {
    "without bf16": {"bf16": False},
    "without channels_last": {"channels_last": False},
    "without fused optimiser": {"fused": False},
    "without resident photos": {"resident": False},
    "with torch.compile": {"compiled": True},
}


def card_name(device):
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"


def tables(batch, photos, device, steps, workers, size=227, variants=None):
    """Yield the table as text, with one row more each time; ratios are to the baseline, once it is measured."""
    config = preset_config("paper-region", batch=batch, steps=10**6)
    config = replace(config, network=replace(config.network, size=size))
    packed = synthetic_photos(max(photos, batch), size * 9 // 8)
    flops, rate = flops_a_step(config, packed, device), measured_rate(device)
    head = [
        f"{card_name(device)}, torch {torch.__version__}, batch {batch}, measured bf16 rate {rate / 1e12:.3g} TFLOP/s, "
        f"{flops / batch / 1e9:.2f} GFLOP a photo (forward and backward)",
        "",
        f"| | photos/s | ratio | utilisation % | hours for the paper's schedule ({PAPER_HOURS} on its card) |",
        "|---|---|---|---|---|",
    ]
    made = partial(engine, config, packed, device, steps)
    trials = {"engine": made, BASELINE: partial(baseline, config, packed, device, max(3, steps // 10), workers)}
    trials |= {name: partial(made, **parts) for name, parts in (VARIANTS if variants is None else variants).items()}
    seconds = {}
    for name, trial in trials.items():
        seconds[name] = trial()
        yield "\n".join([*head, *(row(name, seconds, batch, flops / rate) for name in seconds)]) + "\n"


def row(name, seconds, batch, least):
    """A row of the table; `seconds` a step by name, and the least that the card's rate allows."""
    rate, used = batch / seconds[name], 100 * least / seconds[name]
    ratio = f"{seconds[BASELINE] / seconds[name]:.2f}" if BASELINE in seconds else ""
    return f"| {name} | {rate:.0f} | {ratio} | {used:.1f} | {PAPER_STEPS * PAPER_BATCH / rate / 3600:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--photos", type=int, default=8192)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    device = choose_device(options.device)
    for text in tables(options.batch, options.photos, device, options.steps, options.workers):
        print(text.splitlines()[-1], flush=True)
        if options.out:
            options.out.write_text(f"# Training on a GPU\n\n{text}")
    print(text)


if __name__ == "__main__":
    main()
