"""Fixtures shared by all tests."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests run in several processes at once: each keeps to one core. Read by the libraries when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos that lies beside a checkout (or at $CERET_SHARED_DATA); the test skips without it."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("CERET_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip("the shared photos are not on this machine")
    return folder


@pytest.fixture(scope="session")
def full_disk() -> Callable[[int], contextlib.AbstractContextManager[None]]:
    """A function that makes a context: in it no file grows beyond a number of bytes, as on a disk that is full."""

    @contextlib.contextmanager
    def limited(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture(scope="session")
def bundled_photos() -> list:
    """Real colour photos that scikit-image carries: uint8 (H, W, 3) arrays."""
    from skimage import data

    return [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]


@pytest.fixture(scope="session")
def crop_folder(tmp_path_factory: pytest.TempPathFactory, bundled_photos: list) -> Path:
    """A small collection: 60 overlapping crops of 96x96 (and some of 120x90) px in a folder a photo; PNG, some JPEG."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("crops")
    for number, photo in enumerate(bundled_photos):
        place = folder / f"photo{number}"
        place.mkdir()
        rows, cols = (photo.shape[0] - 96) // 2, (photo.shape[1] - 120) // 4
        for i in range(15):
            y, x = i % 3 * rows, i // 3 * cols
            height, width = (90, 120) if i == 7 else (96, 96)
            crop = Image.fromarray(photo[y : y + height, x : x + width])
            crop.save(place / (f"{i:02d}.jpg" if i % 5 == 4 else f"{i:02d}.png"))
    return folder


@pytest.fixture(scope="session")
def crop_index(crop_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of `crop_folder` by thumbnail:16 at 64 px, for any hole."""
    from ce_retrieval.photo_index import IndexSettings, build_index

    path = tmp_path_factory.mktemp("index") / "crops.ceret"
    build_index([crop_folder], path, IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    return path


@pytest.fixture
def fake_kind(monkeypatch: pytest.MonkeyPatch) -> type:
    """The class that describes the kind of photos in the place of the network of the package."""
    from fake_kind import FakeKind

    from ce_retrieval.descriptors.registry import DESCRIPTORS
    from ce_retrieval.photo_index import builder

    monkeypatch.setitem(DESCRIPTORS, "kind", lambda argument, size: FakeKind(size))
    monkeypatch.setattr(builder, "missing_packages", list)  # it needs no torch
    return FakeKind


@pytest.fixture(scope="session")
def odd_holes() -> Callable[[int, int], dict[str, np.ndarray]]:
    """Holes of many kinds for a photo of (height, width): a function that returns name -> bool (height, width)."""

    def holes(height: int, width: int) -> dict[str, np.ndarray]:
        made = {
            name: np.zeros((height, width), bool) for name in ("centre", "corner", "band", "pixel", "parts", "ring")
        }
        made["centre"][height // 4 : height * 3 // 4, width // 4 : width * 3 // 4] = True
        made["corner"][: height // 3, width * 2 // 3 :] = True
        made["band"][height // 3 : height // 2] = True
        made["pixel"][height // 2 + 3, width // 2 - 5] = True
        for y, x in ((2, 3), (height // 2, width // 2), (height - 9, width - 12), (height // 2, 0)):
            made["parts"][y : y + 7, x : x + 9] = True
        made["ring"][height // 5 : height // 2, width // 5 : width // 2] = True
        made["ring"][height // 5 + 6 : height // 2 - 6, width // 5 + 6 : width // 2 - 6] = False
        return made

    return holes


@pytest.fixture(scope="session")
def shipped_weights() -> Path:
    """The weights of the package; the test skips in a checkout without them."""
    from ce_retrieval.models.shipped import FOLDER, SHIPPED

    if not (FOLDER / SHIPPED).is_file():
        pytest.skip(f"the weights of the package are not in this checkout: {FOLDER / SHIPPED}")
    return FOLDER / SHIPPED


@pytest.fixture(scope="session")
def one_thread_torch():
    """Torch on one thread: for the small networks of tests, two take ten times as long on a busy machine."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def tiny_weights(one_thread_torch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained compact network for photos of 32 px, whose fills are not smooth; skips without torch."""
    torch = one_thread_torch
    from ce_retrieval.models import CompactConfig
    from ce_retrieval.models.build import build_network
    from ce_retrieval.models.checkpoint import save_network

    network = build_network(CompactConfig(size=32, widths=(8, 16, 16), mixers=1), seed=1)
    head = next(layer for layer in network.head if isinstance(layer, torch.nn.Conv2d))
    torch.nn.init.normal_(head.weight, std=0.05, generator=torch.Generator().manual_seed(2))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_network(path, network)
    return path


@pytest.fixture(scope="session")
def center_weights(one_thread_torch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained network that predicts the central half of photos of 64 px alone; skips without torch."""
    from ce_retrieval.models import PaperCenterConfig
    from ce_retrieval.models.build import build_network
    from ce_retrieval.models.checkpoint import save_network

    path = tmp_path_factory.mktemp("weights") / "center.safetensors"
    save_network(path, build_network(PaperCenterConfig(size=64, bottleneck=8), seed=1))
    return path


@pytest.fixture
def unlistable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that makes folders of a name unreadable, for root too."""
    real = os.scandir

    def refuse(name: str) -> None:
        def scandir(path: str | os.PathLike) -> object:
            if os.path.basename(os.fspath(path).rstrip("/")) == name:
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return refuse


@pytest.fixture
def room_for_files(monkeypatch):
    """A function after which the disk has room for so many files, and is full then."""

    def fill(files: int) -> None:
        left = files

        def write(path, data):
            nonlocal left
            if not left:
                path.touch()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            left -= 1
            path.write_bytes(data)

        monkeypatch.setattr("ce_retrieval.storage.write_file", write)

    return fill
