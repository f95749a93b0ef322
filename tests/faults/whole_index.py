"""A small index that has every kind of file, and repairs of its checksums after it was changed on purpose."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, add_photos, batches, build_index, remove_photos

SETTINGS = IndexSettings(
    features="thumbnail:8", size=32, workers=1, kind="kind", places=True, recipe="lists", skip_duplicates=True
)
SEGMENT, BATCH = 8, 4  # items: a few dozen photos make several segments


def small_segments() -> None:
    """Make this process write small segments; for programs that are no test."""
    batches.SEGMENT_ITEMS, batches.BATCH_ITEMS = SEGMENT, BATCH


def encoded(seed: int, side: int = 48) -> bytes:
    """A PNG of smooth colours, unlike any other seed's, with enough corners for local features."""
    rough = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC).save(buffer, "PNG")
    return buffer.getvalue()


def write_photos(folder: Path, seeds) -> Path:
    for seed in seeds:
        place = folder / ("odd" if seed % 2 else "even")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed:04d}.png").write_bytes(encoded(seed))
    return folder


def make_index(photos: Path, out: Path) -> Path:
    """Index 20 photos of `photos` with all that an index may have: codes, kinds, places, a removed photo, a duplicate."""
    write_photos(photos, range(20))
    shutil.copy(photos / "even" / "0000.png", photos / "odd" / "copy.png")
    (photos / "bad.jpg").write_bytes(b"no photo")
    build_index([photos], out, SETTINGS)
    remove_photos(out, [photos / "odd" / "0003.png"])
    return out


def make_collection(folder: Path) -> Path:
    """Make in `folder`: photos, whole.ceret of them, and elsewhere, a copy of the photos; return the index."""
    index = grow_index(folder / "photos", make_index(folder / "photos", folder / "whole.ceret"))
    shutil.copytree(folder / "photos", folder / "elsewhere")
    return index


def grow_index(photos: Path, out: Path) -> Path:
    """Add four photos to it."""
    write_photos(photos, range(20, 24))
    add_photos(out, [photos], workers=1)
    return out


def files_of(index: Path) -> list[Path]:
    """Every file of an index but the lock, which holds the number of its last writer."""
    return [path for path in sorted(index.rglob("*")) if path.is_file() and path.name != "lock"]


def contents(index: Path) -> dict[str, bytes]:
    return {str(path.relative_to(index)): path.read_bytes() for path in files_of(index)}


def read_content(index: Path) -> dict:
    return json.loads((index / "manifest.json").read_bytes())


def write_content(index: Path, content: dict) -> None:
    """Write a manifest with its own checksum right, as docs/index-format.md defines it."""
    content = {name: value for name, value in content.items() if name != "sha256"}
    checksum = hashlib.sha256(manifest_bytes(content)).hexdigest()
    (index / "manifest.json").write_bytes(manifest_bytes({**content, "sha256": checksum}))


def manifest_bytes(content: dict) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def mend_checksums(index: Path) -> None:
    """Make the manifest name the sizes and hashes that the files have now."""
    content = read_content(index)
    for segment in content["segments"]:
        for name in segment["files"]:
            data = (index / "segments" / segment["name"] / name).read_bytes()
            segment["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    write_content(index, content)
