"""All that a GPU is needed for, in a quarter of an hour: checks, rates, and the networks that ship, trained.

    python benchmarks/gpu.py --data PHOTOS [PHOTOS ...] --val PHOTOS --out FOLDER [--minutes 13] [--only checks,rates]
    python benchmarks/gpu.py --rehearse --out FOLDER      # a step or two of each part on the CPU

Parts, by worth: checks, rates, compact, joint, region. Each is a process of its own, which a fault or a lack of memory
ends alone; time that a part leaves goes to those after it. FOLDER holds, from the first result on: `results.md` and
`results.json` (all figures), `log.txt`, `grids.png` (inputs, fills, truths of every network), and the weights as float16.
Needs neither FAISS nor OR-Tools. docs/gpu.md says what each part should show.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import xml.etree.ElementTree as xml
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ce_retrieval.errors import CeretError  # noqa: E402

PARTS = {"checks": 1.5, "rates": 2.0, "compact": 5.0, "joint": 2.5, "region": 2.0}  # minutes of 13
LEAST_MEMORY = 16 << 30  # bytes of a card
GRACE = 60  # seconds after which a part that does not end is ended
ENDING = 20  # seconds that a training part keeps for its figures
SMALL = {  # networks of a rehearsal
    "compact": {"size": 64, "widths": (8, 16, 16), "mixers": 1},
    "paper-center": {"bottleneck": 8},
    "paper-region": {"size": 67},
    "autoencoder": {"size": 67},
}


class Parts:
    """What a part of the run works with: its options, when it should end, and where its results go."""

    def __init__(self, options):
        self.options, self.out = options, Path(options.out)
        self.end = time.monotonic() + 60 * options.minutes
        self.small = options.rehearse

    def left(self):
        """Minutes for training."""
        return max(0.05, (self.end - time.monotonic() - (0 if self.small else ENDING)) / 60)

    # Parts

    def checks(self):
        report = Path(self.work) / "checks.xml"
        kind = "not gpu" if self.small else "gpu"
        tests = ROOT / "tests" / "ce_retrieval" / "training"
        command = [sys.executable, "-m", "pytest", tests / "test_gpu.py", tests / "test_processes.py", "-m", kind]
        command += [
            "--junitxml",
            report,
            "--rootdir",
            ROOT,
            "-c",
            ROOT / "pyproject.toml",
            "-o",
            "filterwarnings=default",
        ]
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
        import train_gpu

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
            masks="mixed",
            mix=(2.0, 1.0, 1.0),
            batch=256,
            rate=2e-3,
            muon_rate=0.03,
            warmup=200,
            view=0.75,
            jitter=0.15,
            average=0.999,
            network={"shuffles": 2},
        )

    def joint(self):
        begun = self.out / "compact.safetensors"
        share = 0.6 * self.left()
        slow = {"beta1": 0.5, "discriminator_rate": 1.0, "muon_rate": 0.0, "weight_decay": 0.0, "average": 0.99}
        self.train(
            "joint",
            "compact",
            begin_with=None if self.small else begun if begun.is_file() else shipped(),
            minutes=share,
            masks="mixed",
            mix=(2.0, 1.0, 1.0),
            batch=128,
            rate=2e-4,
            adversarial=0.004,
            warmup=20,
            cosine=False,
            network={"shuffles": 2},
            **slow,
        )
        self.train("paper-center", "paper-center", keep=False, batch=256)

    def region(self):
        share = self.left() / 2
        for name, preset in (("region", "paper-region"), ("autoencoder", "autoencoder")):
            self.train(name, preset, minutes=share, batch=256, rate=3e-4, average=0.99, cosine=True, warmup=100)

    # What they share

    def device(self):
        from ce_retrieval.training.team import choose_device

        return choose_device("cpu" if self.small else "cuda")

    def photos(self, size):
        from ce_retrieval.training import open_photos

        if self.small:
            return some_photos(24, size), some_photos(8, size)
        workers = {"workers": os.cpu_count() or 1}
        return (open_photos(paths, size, **workers)[0] for paths in (self.options.data, [self.options.val]))

    def train(self, name, preset, *, minutes=None, begin_with=None, keep=True, network=None, **settings):
        """Train, keep the float16 weights, and record what the network fills on the photos to validate on."""
        from dataclasses import replace

        from ce_retrieval.holes.files import load_shapes
        from ce_retrieval.training import Schedule, preset_config
        from ce_retrieval.training.config import ENGINES
        from ce_retrieval.training.presets import PRESETS
        from ce_retrieval.training.trainer import train

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
        folder, every = Path(self.work) / name, 2 if self.small else 500
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
        self.record(name, f"{about}; best at step {summary.best_step}.\n\n{figures(summary.weights, held_out)}")

    def add_grid(self, path):
        """Put a run's samples under those of the runs before."""
        from PIL import Image

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
    from ce_retrieval.training import PackedPhotos

    pixels = np.random.default_rng(count).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return PackedPhotos(pixels, tuple(map(str, range(count))), ("",) * count, f"random {count}")


def shipped():
    from ce_retrieval.models.shipped import FOLDER, SHIPPED

    return FOLDER / SHIPPED


def figures(weights, held_out):
    """Table of a network's fills of the held-out photos, pixels of the hole only, for each kind of hole that it fills."""
    from ce_retrieval import metrics
    from ce_retrieval.holes.strategies import holes_for
    from ce_retrieval.models.checkpoint import load_network
    from ce_retrieval.models.inference import fill_photos, predicted_part
    from ce_retrieval.training.team import choose_device
    from ce_retrieval.training.validation import resized

    network = load_network(weights)[0].to(choose_device("auto")).eval()
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


def fail(text):
    sys.exit(f"gpu.py: error: {' '.join(str(text).split())}")


def check_card():
    """End the program where there is no card that can do the work."""
    import torch

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        there = torch.cuda.is_available()
    if not there:
        why = f" ({' '.join(str(said[-1].message).split())[:200]})" if said else ""
        fail(
            f"torch {torch.__version__} sees no GPU{why}: run this on a machine with one, its driver as new as torch's CUDA "
            f"{torch.version.cuda or '(this torch is a CPU build)'}, or try it by --rehearse"
        )
    memory = torch.cuda.get_device_properties(0).total_memory
    if memory < LEAST_MEMORY:
        fail(
            f"{torch.cuda.get_device_name(0)} has {memory / 2**30:.0f} GiB: expected {LEAST_MEMORY >> 30} or more; use "
            "a larger card, or `ceret train --batch` with fewer photos a step"
        )


def check_data(options):
    """End the program where photos are missing or cut."""
    from ce_retrieval.photos import open_sources
    from ce_retrieval.training.packed_file import SUFFIXES, open_packed

    for path in [*options.data, options.val]:
        try:
            if Path(path).suffix.lower() in SUFFIXES:
                open_packed(path)
            else:
                sources = open_sources([path])
                for source in sources:
                    source.count()
                sources.close()
        except CeretError as error:
            fail(error)


def run_part(name, minutes, options):
    """Run a part in a process of its own; return an error, or None."""
    command = [sys.executable, __file__, "--part", name, "--minutes", str(minutes), "--out", str(options.out)]
    command += ["--rehearse"] if options.rehearse else []
    for option in ("data", "val", "shapes"):
        value = getattr(options, option)
        if value:
            command += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    with open(Path(options.out) / "log.txt", "a") as log:
        log.write(f"\n== {name}: {minutes:.1f} minutes\n")
        log.flush()
        try:
            code = subprocess.run(command, stdout=log, stderr=log, timeout=60 * minutes + GRACE).returncode
        except subprocess.TimeoutExpired:
            return f"did not end in {minutes:.1f} minutes"
    return f"ended with exit code {code}, see log.txt" if code else None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, help="photos to train on: shards or a file of `ceret pack`")
    parser.add_argument("--val", type=Path, help="photos to validate on")
    parser.add_argument("--shapes", type=Path, help="folder of object masks for region holes; default: smooth blobs")
    parser.add_argument("--out", type=Path, required=True, help="a folder for the results")
    parser.add_argument("--minutes", type=float, default=sum(PARTS.values()), help="for all parts together")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, in this order")
    parser.add_argument("--rehearse", action="store_true", help="a step or two of each part on the CPU, random photos")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        part = Parts(options)
        with tempfile.TemporaryDirectory(prefix="gpu-") as part.work:
            getattr(part, options.part)()
        return
    chosen = [name for name in options.only.split(",") if name]
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"--only {unknown[0]}: choose of {', '.join(PARTS)}")
    if not options.minutes > 0:
        parser.error(f"--minutes {options.minutes}: expected more than 0")
    if not options.rehearse:
        if not (options.data and options.val):
            parser.error("--data and --val are needed: photos to train and to validate on; or --rehearse")
        check_card()
        check_data(options)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "results.md", "log.txt", "grids.png"):
        if (options.out / name).exists():
            fail(f"{options.out / name} is there already: choose another --out")
    (options.out / "log.txt").touch()
    end, failed = time.monotonic() + 60 * options.minutes, []
    for place, name in enumerate(chosen):
        weight = PARTS[name] / sum(PARTS[other] for other in chosen[place:])
        error = run_part(name, max(0.1, (end - time.monotonic()) / 60 * weight), options)
        print(f"{name}: {error or 'done'}", flush=True)
        failed += [f"{name}: {error}"] if error else []
    print((options.out / "results.md").read_text() if (options.out / "results.md").exists() else "no results")
    if failed:
        fail("; ".join(failed))


if __name__ == "__main__":
    main()
