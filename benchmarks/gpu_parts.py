"""One part of `gpu.py`, in a process of its own: trains, measures, and writes down what it found.

python benchmarks/gpu_parts.py PART --out FOLDER --minutes M [--data PHOTOS ... --val PHOTOS] [--shapes MASKS] [--rehearse]
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import gpu
import numpy as np
import train_gpu
import train_kind
from PIL import Image

from ce_retrieval import metrics
from ce_retrieval.holes.files import load_shapes
from ce_retrieval.holes.strategies import holes_for
from ce_retrieval.models.checkpoint import load_network
from ce_retrieval.models.inference import fill_photos, predicted_part
from ce_retrieval.models.shipped import weights_path
from ce_retrieval.training import PRESETS, PackedPhotos, Schedule, open_photos, preset_config
from ce_retrieval.training.team import choose_device
from ce_retrieval.training.trainer import train

ROOT = Path(__file__).resolve().parents[1]
TITLE = "# A quarter of an hour on a GPU"
ENDING = 20  # seconds that a training part keeps for its figures
MIXED = {"masks": "mixed", "mix": (2.0, 1.0, 1.0), "network": {"shuffles": 2}}  # as the network that ships
BROAD = {"view": 0.65, "jitter": 0.25, "weight_decay": 0.1, "warmup": 200, "average": 0.999}
SMALL = {  # networks of a rehearsal
    "compact": {"size": 64, "widths": (8, 16, 16), "mixers": 1},
    "paper-center": {"bottleneck": 8},
    "paper-region": {"size": 67},
    "autoencoder": {"size": 67},
}


class Parts:
    """The parts, and what they work with: options, when the part should end, where results go, a folder for the runs."""

    def __init__(self, options, work):
        self.options, self.out, self.work = options, options.out, Path(work)
        self.end = time.monotonic() + 60 * options.minutes
        self.small = options.rehearse

    def left(self):
        """Minutes for training."""
        return max(0.05, (self.end - time.monotonic() - (0 if self.small else ENDING)) / 60)

    def checks(self):
        """Run the tests marked `gpu`, and record each as it ends."""
        tests = ROOT / "tests" / "ce_retrieval" / "training"
        command = [sys.executable, "-m", "pytest", tests / "test_gpu.py", tests / "test_processes.py", "-vv", "-rfE"]
        command += ["-m", "not gpu" if self.small else "gpu"]
        command += ["-o", "filterwarnings=default"]  # warnings of other versions are no failures
        started = {"stdout": subprocess.PIPE, "text": True, "env": {**os.environ, "PYTHONUNBUFFERED": "1"}}
        with subprocess.Popen(list(map(str, command)), cwd=ROOT, **started) as running:
            # Longer than the part may take, but ended before the part is.
            timer = threading.Timer(max(1, self.end - time.monotonic() + gpu.GRACE / 2), running.kill)
            timer.start()
            found = ChecksTable()
            for line in running.stdout:
                print(line, end="", flush=True)
                if found.read(line):
                    self.record("checks", str(found))
            timer.cancel()
        if running.returncode < 0:
            self.record("checks", f"{found}\n\nEnded by the time limit: what is not in the table did not run.")

    def rates(self):
        sizes = (2, 4, 1, 0, 67) if self.small else (256, 8192, 100, min(8, os.cpu_count()), 227)
        batch, photos, steps, workers, size = sizes
        variants = {"without bf16": {"bf16": False}} if self.small else None  # which most CPUs have not
        for text in train_gpu.tables(batch, photos, self.device(), steps, workers, size, variants):
            self.record("rates", text)
            if time.monotonic() > self.end:
                break

    def compact(self):
        self.train("compact", "compact", batch=512, rate=2e-3, muon_rate=0.02, **BROAD, **MIXED)

    def kind(self):
        if self.small:
            photos, val = (train_kind.random_photos(count, train_kind.SMALL.size) for count in (64, 8))
            length = {"config": train_kind.SMALL, "batch": 8, "steps": 2}
        else:
            config = train_kind.KindConfig()
            photos, val = self.photos(config.size)
            length = {"config": config}
        network, step = train_kind.train(photos, device=self.device(), minutes=self.left(), tell=say_kind, **length)
        table = train_kind.finish(network, photos, val, self.out / "kind.safetensors", {"step": step})
        self.record("kind", f"{step} steps.\n\n{table}")

    def joint(self):
        begun = self.out / "compact.safetensors"
        share = 0.6 * self.left()
        slow = {"beta1": 0.5, "discriminator_rate": 1.0, "muon_rate": 0.0, "weight_decay": 0.0, "average": 0.99}
        self.train(
            "joint",
            "compact",
            begin_with=None if self.small else begun if begun.is_file() else weights_path(),
            minutes=share,
            batch=128,
            rate=2e-4,
            adversarial=0.004,
            warmup=20,
            cosine=False,
            **slow,
            **MIXED,
        )
        self.train("paper-center", "paper-center", keep=False, batch=256)

    def region(self):
        share = self.left() / 2
        for name, preset in (("region", "paper-region"), ("autoencoder", "autoencoder")):
            self.train(name, preset, minutes=share, batch=256, rate=3e-4, average=0.99, cosine=True, warmup=100)

    def device(self):
        return choose_device("cpu" if self.small else "cuda")

    def photos(self, size):
        """Return the photos for a network of `size` px: to train on, larger, and to measure on, as large.

        Photos to measure on that are enlarged and reduced again lose detail, and their figures are too good.
        """
        if self.small:
            return some_photos(24, size + 4), some_photos(8, size)
        workers = os.cpu_count() or 1
        packed = open_photos(self.options.data, max(144, size * 9 // 8), workers=workers)[0]
        return packed, open_photos([self.options.val], size, workers=workers)[0]

    def train(self, name, preset, *, minutes=None, begin_with=None, keep=True, network=None, **settings):
        """Train, keep the float16 weights, and record what the network fills on the photos to validate on."""
        start = time.monotonic()
        network = dict(network or {})
        if self.small:
            settings["batch"] = 2
            network |= SMALL[preset]
        network = replace(PRESETS[preset]["network"], **network)
        photos, held_out = self.photos(network.size)
        spent = (time.monotonic() - start) / 60
        length = {"steps": 2} if self.small else {"minutes": max(0.2, (minutes or self.left()) - spent)}
        config = preset_config(preset, network=network, **settings, **length)
        shapes = load_shapes(self.options.shapes) if self.options.shapes else None
        folder, every = self.work / name, 2 if self.small else 500
        summary = train(
            config,
            photos,
            folder,
            device=self.device(),
            held_out=held_out,
            shapes=shapes,
            begin_with=begin_with,
            schedule=Schedule(every, every),
            report=partial(say, name),
        )
        if keep:
            shutil.copyfile(folder / "best-float16.safetensors", self.out / f"{name}.safetensors")
        self.add_grid(sorted((folder / "samples").iterdir())[-1])
        seen = summary.steps * config.batch / len(photos)
        about = f"{summary.steps} steps of {config.batch} in {summary.seconds:.0f} s, each photo {seen:.0f} times"
        self.record(
            name, f"{about}; best at step {summary.best_step}.\n\n{figures(summary.weights, held_out, self.device())}"
        )

    def add_grid(self, path):
        """Put a run's samples under those of the runs before."""
        target = self.out / "grids.png"
        pictures = [np.asarray(Image.open(one).convert("RGB")) for one in (target, path) if one.is_file()]
        width = max(picture.shape[1] for picture in pictures)
        padded = [np.pad(p, ((0, 8), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in pictures]
        Image.fromarray(np.concatenate(padded)).save(target)

    def record(self, name, text):
        """Write a result down, in place of an older one of its name and beside the others."""
        path = self.out / "results.md"
        title, *sections = path.read_text().strip().split("\n## ") if path.is_file() else [TITLE]
        results = dict(section.split("\n", 1) for section in sections)
        results[name] = text
        body = "\n\n".join(f"## {part}\n\n{found.strip()}" for part, found in results.items())
        path.write_text(f"{title.strip()}\n\n{body}\n")


class ChecksTable:
    """The outcome of each test, read from what `pytest -vv -rfE` prints."""

    def __init__(self):
        self.rows, self._since = {}, time.monotonic()

    def read(self, line):
        """Read a line; return whether it says anything of a test."""
        if ended := re.search(r"::(.+) (PASSED|FAILED|ERROR|SKIPPED)\b", line):
            now = time.monotonic()
            self.rows[ended[1]] = [ended[2].lower(), now - self._since]
            self._since = now
        elif why := re.match(r"(FAILED|ERROR) \S+?::(.+?) - (.*)", line):
            self.rows.setdefault(why[2], ["", 0.0])[0] = f"{why[1]}: {why[3].replace('|', '/')[:200]}"
        return bool(ended or why)

    def __str__(self):
        """The table as Markdown."""
        rows = [f"| {name} | {outcome} | {seconds:.1f} |" for name, (outcome, seconds) in self.rows.items()]
        return "\n".join(["| check | outcome | seconds |", "|---|---|---|", *rows])


def say_kind(text):
    print(f"kind: {text}", flush=True)


def say(name, now):
    if now.metrics:
        found = ", ".join(f"{key} {value:.2f}" for key, value in now.metrics.items())
        print(f"{name}: step {now.step}, {now.photos_per_second:.0f} photos/s, {found}", flush=True)


def some_photos(count, size):
    pixels = np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return PackedPhotos(pixels, tuple(map(str, range(count))), ("",) * count, f"random {count}")


def figures(weights, held_out, device):
    """Table of a network's fills of the held-out photos, pixels of the hole only, for each kind of hole that it fills."""
    network = load_network(weights)[0].to(device).eval()
    size = network.config.size
    photos = held_out.pixels
    lines = [
        "| hole | L1 % | L2 % | PSNR dB, of the mean L2 | PSNR dB, mean | sharpness |",
        "|---|---|---|---|---|---|",
    ]
    for strategy in ("center", "block", "region"):
        holes = holes_for(strategy, 0, held_out.keys, size)
        if (holes & ~predicted_part(network)).any():
            continue
        found = metrics.measure(photos, fill_photos(network, photos, holes), holes)
        l2 = found["l2"]
        psnr = [metrics.psnr_of_mean_l2(l2), float(found["psnr"][np.isfinite(found["psnr"])].mean())]
        sharpness = float(np.nanmedian(found["sharpness"]))
        row = [found["l1"].mean(), l2.mean(), *psnr, sharpness]
        lines.append(f"| {strategy} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=gpu.PARTS)
    parser.add_argument("--data", nargs="+", type=Path)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gpu-") as work:
        getattr(Parts(options, work), options.part)()


if __name__ == "__main__":
    main()
