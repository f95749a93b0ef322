"""Small collections, small segments, and the content of an index for comparison."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, batches, build_index

SETTINGS = IndexSettings(features="thumbnail:8", size=32, workers=2, kind="none")


def pixels(seed: int, side: int = 40) -> np.ndarray:
    """A photo of smooth colours, unlike any other seed's."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC))


def encoded(seed: int, kind: str = "PNG", side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(seed, side)).save(buffer, kind)
    return buffer.getvalue()


def write_photos(folder: Path, seeds, prefix: str = "") -> Path:
    for seed in seeds:
        place = folder / ("even" if seed % 2 == 0 else "odd")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{prefix}{seed:04d}.png").write_bytes(encoded(seed))
    return folder


def write_tar(path: Path, seeds, name="{:04d}.png", **sidecars) -> Path:
    with tarfile.open(path, "w") as tar:
        for seed in seeds:
            parts = {name.format(seed): encoded(seed)}
            stem = name.format(seed).rpartition(".")[0]
            parts |= {f"{stem}.{suffix}": text.encode() for suffix, text in sidecars.items()}
            for member, data in parts.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def write_table(path: Path, seeds, **columns) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    seeds = list(seeds)
    table = {
        "image": [encoded(seed) for seed in seeds],
        **{name: [text] * len(seeds) for name, text in columns.items()},
    }
    pq.write_table(pa.table(table), path, row_group_size=8)
    return path


def contents(index: Path) -> dict[str, bytes]:
    """Every file of an index but the lock, which holds the number of its last writer."""
    return {
        str(path.relative_to(index)): path.read_bytes()
        for path in sorted(index.rglob("*"))
        if path.is_file() and path.name != "lock"
    }


def edit_manifest(index: Path, **changes) -> None:
    """Change entries of a manifest and leave its checksum right."""
    from ce_retrieval.photo_index import manifest

    path = index / "manifest.json"
    content = json.loads(path.read_bytes())
    del content["sha256"]
    content |= changes
    path.write_bytes(manifest._encoded({**content, "sha256": manifest._checksum(content)}))


@pytest.fixture()
def small_segments(monkeypatch):
    """Segments of 8 items in batches of 4, so that a few dozen photos make several."""
    monkeypatch.setattr(batches, "SEGMENT_ITEMS", 8)
    monkeypatch.setattr(batches, "BATCH_ITEMS", 4)


@pytest.fixture()
def photos(tmp_path):
    """A folder of 30 photos in two sub-folders."""
    return write_photos(tmp_path / "photos", range(30))


@pytest.fixture()
def index(tmp_path, photos, small_segments):
    """An index of `photos`: four segments."""
    path = tmp_path / "photos.ceret"
    build_index([photos], path, SETTINGS)
    return path


@pytest.fixture()
def helpers():
    """The functions above: test modules cannot import a conftest by name."""
    from types import SimpleNamespace

    return SimpleNamespace(
        SETTINGS=SETTINGS,
        contents=contents,
        edit_manifest=edit_manifest,
        encoded=encoded,
        pixels=pixels,
        write_photos=write_photos,
        write_table=write_table,
        write_tar=write_tar,
    )


@pytest.fixture
def kind_settings(fake_kind):
    return dataclasses.replace(SETTINGS, kind="kind")


@pytest.fixture
def kind_index(tmp_path, photos, small_segments, kind_settings):
    """An index of `photos` with kind features: four segments."""
    path = tmp_path / "kind.ceret"
    build_index([photos], path, kind_settings)
    return path
