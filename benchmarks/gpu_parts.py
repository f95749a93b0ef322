"""One part of `gpu.py`, in a process of its own: trains, measures, and writes down what it found.

python benchmarks/gpu_parts.py PART --out FOLDER --minutes M [--data PHOTOS ... --val PHOTOS] [--shapes MASKS] [--rehearse]
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml
from dataclasses import replace
from functools import partial
from pathlib import Path

import gpu
import numpy as np
import train_gpu
from PIL import Image

from ce_retrieval import metrics
from ce_retrieval.holes.files import load_shapes
from ce_retrieval.holes.strategies import holes_for
from ce_retrieval.models.checkpoint import load_network
from ce_retrieval.models.inference import fill_photos, predicted_part
from ce_retrieval.models.shipped import weights_path
from ce_retrieval.training import PRESETS, PackedPhotos, Schedule, open_photos, preset_config
from ce_retrieval.training.config import ENGINES
from ce_retrieval.training.team import choose_device
from ce_retrieval.training.trainer import train
from ce_retrieval.training.validation import resized

ROOT = Path(__file__).resolve().parents[1]
ENDING = 20  # seconds that a training part keeps for its figures
MIXED = {"masks": "mixed", "mix": (2.0, 1.0, 1.0), "network": {"shuffles": 2}}  # as the network that ships
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
        report = self.work / "checks.xml"
        kind = "not gpu" if self.small else "gpu"
        tests = ROOT / "tests" / "ce_retrieval" / "training"
        command = [sys.executable, "-m", "pytest", tests / "test_gpu.py", tests / "test_processes.py", "-m", kind]
        command += ["--junitxml", report, "-o", "filterwarnings=default"]  # warnings of other versions are no failures
        subprocess.run(list(map(str, command)), cwd=ROOT, check=False)
        rows = ["| check | outcome | seconds |", "|---|---|---|"]
        for case in xml.parse(report).getroot().iter("testcase"):
            bad = [
                child.get("message", "").splitlines()[0][:200] for child in case if child.tag in ("failure", "error")
            ]
            outcome = f"FAILED: {bad[0]}" if bad else "skipped" if case.find("skipped") is not None else "passed"
            rows.append(f"| {case.get('name')} | {outcome.replace('|', '/')} | {float(case.get('time')):.1f} |")
        self.record("checks", "\n".join(rows))

    def rates(self):
        sizes = (2, 4, 1, 0, 67) if self.small else (256, 8192, 100, min(8, os.cpu_count()), 227)
        batch, photos, steps, workers, size = sizes
        variants = {"without bf16": {"bf16": False}} if self.small else None  # which most CPUs have not
        for text in train_gpu.tables(batch, photos, self.device(), steps, workers, size, variants):
            self.record("rates", text)
            if time.monotonic() > self.end:
                break

    def compact(self):
        self.train(
            "compact",
            "compact",
            batch=256,
            rate=2e-3,
            muon_rate=0.03,
            warmup=200,
            view=0.8,
            jitter=0.15,
            average=0.999,
            **MIXED,
        )

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
        if self.small:
            return some_photos(24, size), some_photos(8, size)
        workers = {"workers": os.cpu_count() or 1}
        return [open_photos(paths, size, **workers)[0] for paths in (self.options.data, [self.options.val])]

    def train(self, name, preset, *, minutes=None, begin_with=None, keep=True, network=None, **settings):
        """Train, keep the float16 weights, and record what the network fills on the photos to validate on."""
        start = time.monotonic()
        network = dict(network or {})
        if self.small:
            settings["batch"] = 2
            network |= SMALL[preset]
        network = replace(PRESETS[preset]["network"], **network)
        photos, held_out = self.photos(max(144, network.size * 9 // 8) if not self.small else network.size + 4)
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
            engine=ENGINES["plain" if self.small else "compiled"],
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
        """Write a result down, beside those that are there."""
        path = self.out / "results.json"
        results = json.loads(path.read_text()) if path.is_file() else {}
        results[name] = text
        path.write_text(json.dumps(results, indent=1))
        body = "\n\n".join(f"## {part}\n\n{found.strip()}" for part, found in results.items())
        (self.out / "results.md").write_text(f"# A quarter of an hour on a GPU\n\n{body}\n")


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
    photos = resized(held_out.pixels, size)
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
