"""All that a GPU is needed for, in a quarter of an hour: checks, rates, and the networks that ship, trained.

    python benchmarks/gpu.py --data PHOTOS [PHOTOS ...] --val PHOTOS --out FOLDER [--minutes 13] [--only checks,rates]
    python benchmarks/gpu.py --rehearse --out FOLDER      # a step or two of each part on the CPU

Parts, by worth: checks, rates, compact, kind, joint, region. Each is a process of its own, which a fault or a lack of memory
ends alone; time that a part leaves goes to those after it. FOLDER holds, from the first result on: `results.md` (all
figures), `log.txt`, `grids.png` (inputs, fills, truths of every network that fills), and the weights as float16.
Needs neither FAISS nor OR-Tools. docs/gpu.md says what each part should show.
"""

import argparse
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ce_retrieval.errors import CeretError  # noqa: E402

PARTS = {"checks": 2.0, "rates": 1.5, "compact": 3.5, "kind": 3.0, "joint": 1.5, "region": 1.5}  # minutes of 13
LEAST_MEMORY = 16 << 30  # bytes of a card
RESULTS = ("results.md", "log.txt", "grids.png")
RESULTS += tuple(f"{name}.safetensors" for name in ("compact", "kind", "joint", "region", "autoencoder"))
GRACE = 60  # seconds after which a part that does not end is ended


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
    command = [sys.executable, str(Path(__file__).with_name("gpu_parts.py")), name]
    command += ["--minutes", str(minutes), "--out", str(options.out)]
    command += ["--rehearse"] if options.rehearse else []
    for option in ("data", "val", "shapes"):
        value = getattr(options, option)
        if value:
            command += [f"--{option}", *(map(str, value) if isinstance(value, list) else [str(value)])]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # nothing need be installed
    started = {"env": {**os.environ, "PYTHONPATH": path}, "timeout": 60 * minutes + GRACE}
    with open(options.out / "log.txt", "a") as log:
        log.write(f"\n== {name}: {minutes:.1f} minutes\n")
        log.flush()
        try:
            code = subprocess.run(command, stdout=log, stderr=log, **started).returncode
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
    options = parser.parse_args(arguments)
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
    for name in RESULTS:
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
