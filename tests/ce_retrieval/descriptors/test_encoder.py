"""Features of a context encoder: specs, footprints, what a hole changes, threads, and bad input."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.descriptors import (  # noqa: E402
    cell_weights,
    encoder,
    encoder_spec,
    make_descriptor,
    protocol_spec,
    weights_hash,
)
from ce_retrieval.errors import CeretError, CheckpointError, DescriptorError, SettingsError  # noqa: E402
from ce_retrieval.models import CompactConfig, PaperRegionConfig, shipped  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import save_network  # noqa: E402
from ce_retrieval.models.compression import export_compressed  # noqa: E402
from ce_retrieval.models.inference import encode_photos  # noqa: E402
from ce_retrieval.models.shipped import load_weights  # noqa: E402
from ce_retrieval.retrieval.search import default_focus  # noqa: E402

TINY = CompactConfig(size=64, widths=(8, 16, 16), mixers=1)


def stirred(config, std=0.1):
    """A network whose layers that start at zero have weights, so that every path carries something."""
    network = build_network(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=std, generator=torch.Generator().manual_seed(1))
    return network


def random_photos(count, size, seed=0):
    rough = np.random.default_rng(seed).integers(0, 256, (count, size // 4, size // 4, 3), dtype=np.uint8)
    return rough.repeat(4, axis=1).repeat(4, axis=2)


def square_hole(size, start, stop):
    hole = np.zeros((size, size), bool)
    hole[start:stop, start:stop] = True
    return hole


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights of a small network: best.safetensors as trained, compact.safetensors compressed to 6 channels a cell."""
    folder = tmp_path_factory.mktemp("weights")
    save_network(folder / "best.safetensors", stirred(TINY))
    export_compressed(folder / "best.safetensors", folder / "compact.safetensors", random_photos(40, 64), channels=6)
    return folder


@pytest.fixture(autouse=True)
def installed(folder, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", folder)


@pytest.fixture
def photos():
    return random_photos(40, 64, seed=1)


def test_specs_are_canonical_and_name_the_layer(folder, monkeypatch):
    path = folder / "best.safetensors"
    expected = {
        "encoder": "encoder:fill",
        "encoder:cells": "encoder:cells",
        "encoder:context": "encoder:context",
        f"encoder:{path}": f"encoder:fill:{path}",
        f"encoder:fill:{path}": f"encoder:fill:{path}",
        f"encoder:context:{path}": f"encoder:context:{path}",
        "encoder:best.safetensors": f"encoder:fill:{path}",
        "encoder:context:./best.safetensors": f"encoder:context:{path}",
    }
    monkeypatch.chdir(folder)
    for spec, canonical in expected.items():
        descriptor = make_descriptor(spec, 64)
        assert descriptor.spec == canonical and make_descriptor(canonical, 64).spec == canonical
        assert (
            weights_hash(descriptor) == descriptor.weights_sha256 == load_weights(str(descriptor.weights.path)).sha256
        )
        assert descriptor.libraries == ("torch",) and descriptor.memory > 250 << 20 and descriptor.photo_memory > 0
    assert weights_hash(make_descriptor("thumbnail", 64)) is None


def test_the_hole_protocol_names_the_layer_where_the_user_does_not(folder, tmp_path):
    path = folder / "best.safetensors"
    assert [protocol_spec("encoder", hole) for hole in ("none", "center")] == ["encoder:fill", "encoder:fill"]
    assert protocol_spec(f"encoder:{path}", "center") == f"encoder:fill:{path}"
    assert protocol_spec("encoder:cells", "center") == "encoder:cells"
    assert protocol_spec("encoder:context", "none") == "encoder:context"
    assert protocol_spec("hog", "center") == "hog"
    other = tmp_path / "region.safetensors"
    save_network(other, build_network(PaperRegionConfig(groups=1)))
    assert protocol_spec(f"encoder:{other}", "none") == f"encoder:cells:{other}"
    assert protocol_spec(f"encoder:{other}", "center") == f"encoder:context:{other}"


def test_every_layer_of_every_architecture_has_its_name():
    from ce_retrieval.models.compact import Compact
    from ce_retrieval.models.paper_center import PaperCenter, PaperRandom
    from ce_retrieval.models.paper_region import PaperRegion

    kinds = (Compact, PaperCenter, PaperRandom, PaperRegion)
    assert {layer for kind in kinds for layer in kind.LAYERS} == set(encoder_spec.LAYERS) - {"fill"}
    assert {kind.LAYERS[0] for kind in kinds} == {encoder.LOCAL_LAYER}


def test_compressed_features_are_the_projected_ones(folder, photos):
    descriptor = make_descriptor("encoder:cells", 64)
    assert (descriptor.size, descriptor.cells, descriptor.channels) == (64, 16, 6)
    weights = load_weights()
    grids = encode_photos(weights.network, photos, layer="cells").reshape(40, 16, 16)
    compression = weights.compressions["cells"]
    expected = (grids - compression.mean) @ compression.basis * compression.scale
    found = descriptor.describe(photos)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert 0.5 < np.sqrt(np.square(found).sum(axis=2).mean()) < 2


def test_weights_without_a_compression_give_all_channels(folder, photos):
    descriptor = make_descriptor(f"encoder:cells:{folder / 'best.safetensors'}", 64)
    assert descriptor.channels == 16
    grids = encode_photos(descriptor.weights.network, photos, layer="cells").reshape(40, 16, 16)
    np.testing.assert_allclose(descriptor.describe(photos), grids / 4, rtol=1e-6)


def test_the_boxes_of_cells_share_the_photo_out(folder, tmp_path):
    from ce_retrieval.descriptors.cells import grid_boxes

    np.testing.assert_array_equal(make_descriptor("encoder:cells", 64).boxes, grid_boxes(4, 16, 16))
    path = tmp_path / "region.safetensors"
    save_network(path, build_network(PaperRegionConfig(size=67)))
    uneven = make_descriptor(f"encoder:cells:{path}", 67)
    covered = np.zeros((67, 67), int)
    for y0, x0, y1, x1 in uneven.boxes:
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all() and uneven.boxes.dtype == np.int32


def test_a_later_layer_sees_the_whole_photo_from_every_cell():
    descriptor = make_descriptor("encoder:context", 64)
    assert (descriptor.boxes == [0, 0, 64, 64]).all() and len(descriptor.boxes) == 16
    weights = cell_weights(descriptor, square_hole(64, 16, 48))
    np.testing.assert_allclose(weights, 0.75)
    corner = np.zeros((64, 64), bool)
    corner[:60] = True
    assert (cell_weights(descriptor, corner) == cell_weights(descriptor, corner)[0]).all()
    assert default_focus(descriptor) is None
    assert default_focus(make_descriptor("encoder:cells", 64)) == 16.0


def test_a_hole_that_leaves_nothing_to_see():
    with pytest.raises(DescriptorError, match="leaves none of the 16 cells visible enough"):
        cell_weights(make_descriptor("encoder:context", 64), np.ones((64, 64), bool))
    sieve = np.ones((64, 64), bool)
    sieve[::2, ::2] = False
    with pytest.raises(DescriptorError, match="leaves none of the 16 cells visible enough"):
        cell_weights(make_descriptor("encoder:cells", 64), sieve)


def test_cells_away_from_a_hole_are_those_of_the_whole_photo(tmp_path):
    config = CompactConfig(size=256, widths=(8, 8, 8), encoder_blocks=(0, 1, 1), mixers=1)
    path = tmp_path / "wide.safetensors"
    save_network(path, stirred(config))
    photos = random_photos(3, 256)
    holes = np.repeat(square_hole(256, 0, 24)[None], 3, axis=0)
    for layer, local in (("cells", True), ("context", False)):
        descriptor = make_descriptor(f"encoder:{layer}:{path}", 256)
        whole, holed = descriptor.describe(photos), descriptor.describe(photos, holes)
        change = np.abs(whole - holed).max(axis=(0, 2)).reshape(16, 16)
        assert change[0, 0] > 1e-3
        assert (change[8:, 8:].max() == 0) == local


def test_nothing_under_a_hole_is_read(photos):
    holes = np.repeat(square_hole(64, 16, 48)[None], 40, axis=0)
    other = np.where(holes[..., None], 255 - photos, photos)
    for layer in ("cells", "context"):
        descriptor = make_descriptor(f"encoder:{layer}", 64)
        np.testing.assert_array_equal(descriptor.describe(photos, holes), descriptor.describe(other, holes))
        assert not np.array_equal(descriptor.describe(photos, holes), descriptor.describe(photos))


def test_a_photo_is_described_alike_in_any_batch_and_thread(photos):
    descriptor = make_descriptor("encoder:cells", 64)
    together = descriptor.describe(photos)
    np.testing.assert_array_equal(descriptor.describe(photos), together)
    scale = np.abs(together).max()
    assert np.abs(descriptor.describe(photos[7:9]) - together[7:9]).max() < 1e-3 * scale
    assert np.abs(descriptor.describe(photos[33:34]) - together[33:34]).max() < 1e-3 * scale
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: descriptor.describe(photos), range(8)):
            np.testing.assert_array_equal(found, together)
    assert descriptor.describe(photos[:0]).shape == (0, 16, 6)


def test_each_call_of_the_network_runs_on_one_thread_and_the_rest_of_the_process_as_before(photos, monkeypatch):
    from ce_retrieval.models import inference

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        descriptor = make_descriptor("encoder:cells", 64)
        seen, encode = [], inference.encode_photos

        def watching(*arguments, **options):
            seen.append((torch.get_num_threads(), threading.get_ident(), len(arguments[1])))
            return encode(*arguments, **options)

        monkeypatch.setattr(inference, "encode_photos", watching)
        descriptor.describe(photos)
        descriptor.describe(photos[:32])
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)
    assert [count for count, _, _ in seen] == [1, 1, 1]
    assert sorted(length for _, _, length in seen) == [8, 32, 32]
    assert seen[-1][1] == threading.get_ident()


def test_arguments_that_make_no_sense(folder):
    bad = {
        "encoder:": (SettingsError, "encoder:FILE"),
        "encoder:context:": (SettingsError, "encoder:FILE"),
        "encoder:bottleneck": (SettingsError, "architecture compact: its layers are cells, context, fill"),
        "encoder:contxt": (CheckpointError, "no such checkpoint.* or a layer: cells, context, bottleneck"),
        f"encoder:pool5:{folder}/best.safetensors": (CheckpointError, "no such checkpoint.* or a layer"),
        "encoder:/absent/weights.safetensors": (CheckpointError, "^/absent/weights.safetensors: no such checkpoint"),
        f"encoder:{folder}": (CheckpointError, "a folder, not a checkpoint"),
    }
    for spec, (kind, message) in bad.items():
        with pytest.raises(kind, match=message) as caught:
            make_descriptor(spec, 64)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        SettingsError, match=r"encoder:cells: its network takes photos of 64 px, not 128: use `size` 64$"
    ):
        make_descriptor("encoder:cells", 128)


def test_no_weights_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    for spec in ("encoder", "encoder:context"):
        with pytest.raises(CheckpointError, match=r"compact\.safetensors.*are not installed.*encoder:FILE"):
            make_descriptor(spec, 64)


def test_no_torch(monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    with pytest.raises(CeretError, match="pip install"):
        make_descriptor("encoder:cells", 64)


def test_bad_batches(photos):
    descriptor = make_descriptor("encoder:cells", 64)
    with pytest.raises(DescriptorError, match=r"^encoder:cells: photos are .*expected uint8 \(B, 64, 64, 3\)"):
        descriptor.describe(photos[:, :32])
    with pytest.raises(DescriptorError, match="2 holes for 40 photos"):
        descriptor.describe(photos, np.zeros((2, 64, 64), bool))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e7])
def test_features_that_an_index_cannot_hold(tmp_path, photos, value):
    network = stirred(TINY)
    with torch.no_grad():
        network.encoder_high[-1].second.bias.fill_(value)
    save_network(tmp_path / "bad.safetensors", network)
    spec = f"encoder:cells:{tmp_path / 'bad.safetensors'}"
    with pytest.raises(DescriptorError, match="features that are too large for an index, or not finite"):
        make_descriptor(spec, 64).describe(photos)


def test_a_compression_of_other_channels(tmp_path):
    beside = {
        "compression.cells.mean": torch.zeros(9),
        "compression.cells.basis": torch.eye(9)[:, :4].contiguous(),
        "compression.cells.scale": torch.ones(1),
    }
    path = tmp_path / "odd.safetensors"
    save_network(path, stirred(TINY), beside=beside)
    with pytest.raises(CheckpointError, match="compression of cells is for 9 channels, the layer has 16"):
        make_descriptor(f"encoder:cells:{path}", 64)
