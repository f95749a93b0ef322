"""The peak memory of `ceret index`, for a collection and for four times that collection.

    python benchmarks/index_memory.py [--photos FOLDER] [--times 4] [--out benchmarks/results/index_memory.md]

The larger collection is a folder of links to the same photos. The figure is the peak resident set size of the process, as
the kernel reports it (ru_maxrss).
"""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes" / "train"


def peak_megabytes(photos: Path, out: Path, features: str) -> float:
    """Run the command in its own process; peak resident set size in MB."""
    code = "from cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "index",
        str(photos),
        "--out",
        str(out),
        "--features",
        features,
        "--kind",
        "none",
    ]
    child = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(child, 0)
    assert status == 0, f"{command} failed"
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "index_memory.md")
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.photos.rglob("*") if path.is_file())
    lines = [
        "# Memory of `ceret index`",
        "",
        f"`python benchmarks/index_memory.py`: peak resident set size; photos of `{'/'.join(arguments.photos.parts[-2:])}`, "
        f"and links to them {arguments.times} times; --kind none, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {platform.machine()}.",
        "",
        "| features | photos | peak, MB | reach, MB |",
        "|---|---:|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        many = Path(temporary) / "many"
        for copy in range(arguments.times):
            for path in files:
                link = many / str(copy) / path.relative_to(arguments.photos)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
        for features in ("thumbnail", "hog"):
            for number, (photos, count) in enumerate([(arguments.photos, 1), (many, arguments.times)]):
                peak = peak_megabytes(photos, Path(temporary) / f"{features}{number}.ceret", features)
                lines.append(f"| `{features}` | {count * len(files)} | {peak:.0f} | 1500 |")
                print(lines[-1], file=sys.stderr)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
