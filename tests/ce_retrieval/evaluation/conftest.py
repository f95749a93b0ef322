"""What the tests of the evaluation share: query photos that the small collection does not hold, and an opened index."""

from pathlib import Path

import numpy as np
import pytest
from held_out import HeldOut, read_held_out
from PIL import Image

from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache


@pytest.fixture(scope="session")
def query_folder(tmp_path_factory: pytest.TempPathFactory, bundled_photos: list) -> Path:
    """Twelve crops of 96x96 px between those of the collection, in the same four folders."""
    folder = tmp_path_factory.mktemp("queries")
    for number, photo in enumerate(bundled_photos):
        (folder / f"photo{number}").mkdir()
        rows, cols = (photo.shape[0] - 96) // 2, (photo.shape[1] - 120) // 4
        for i in range(3):
            y, x = rows // 2, i * cols + cols // 2
            Image.fromarray(photo[y : y + 96, x : x + 96]).save(folder / f"photo{number}/q{i}.png")
    return folder


@pytest.fixture(scope="session")
def opened(crop_index: Path) -> PhotoIndex:
    return PhotoIndex.open(crop_index)


@pytest.fixture(scope="session")
def decoded(opened: PhotoIndex) -> PhotoCache:
    return PhotoCache(opened, 1 << 24, 2)


@pytest.fixture(scope="session")
def collection(opened: PhotoIndex, decoded: PhotoCache) -> np.ndarray:
    """Every photo of the collection at the index's size: uint8 (60, 64, 64, 3); position = id."""
    return decoded.get(range(len(opened))).photos


@pytest.fixture(scope="session", params=[12, pytest.param(1, marks=pytest.mark.slow)], ids=["a twelfth", "all"])
def held_out(shared_data: Path, request: pytest.FixtureRequest) -> HeldOut:
    return read_held_out(shared_data / "scenes", request.param)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments draw no figures for publication, which takes seconds; `test_experiment_figures.py` looks at these."""
    monkeypatch.setattr("ce_retrieval.evaluation.experiments.run.write_figures", lambda out, evaluations: [])
