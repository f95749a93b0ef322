"""An index of learned features: built, resumed, grown and searched; its weights known by their hash."""

import dataclasses
import json
import os
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.descriptors import cell_weights, make_descriptor  # noqa: E402
from ce_retrieval.errors import CheckpointError, PhotoIndexError, SettingsError  # noqa: E402
from ce_retrieval.holes.strategies import center_holes  # noqa: E402
from ce_retrieval.models import CompactConfig, inference, shipped  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import save_network  # noqa: E402
from ce_retrieval.models.compression import export_compressed  # noqa: E402
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, build_index, read_manifest  # noqa: E402
from ce_retrieval.photo_index.decode_budget import make_decode_budget  # noqa: E402
from ce_retrieval.retrieval.search import find_neighbors, search_contexts  # noqa: E402
from cli.main import main  # noqa: E402

SIZE = 32
TINY = CompactConfig(size=SIZE, widths=(8, 16, 16), mixers=1)


def write_weights(path, seed, config=TINY):
    """Small weights with compressions to 5 channels; returns their hash."""
    plain = path.with_name("plain.safetensors")
    save_network(plain, build_network(config, seed=seed))
    rough = np.random.default_rng(0).integers(0, 256, (30, config.size // 4, config.size // 4, 3), dtype=np.uint8)
    sha256 = export_compressed(plain, path, rough.repeat(4, axis=1).repeat(4, axis=2), channels=5)
    plain.unlink()
    return sha256


@pytest.fixture
def weights(tmp_path):
    (tmp_path / "weights").mkdir()
    path = tmp_path / "weights" / "tiny.safetensors"
    write_weights(path, 1)
    return path


@pytest.fixture
def float32(monkeypatch):
    """The same arithmetic on all CPUs: where they have bfloat16, its rounding depends on the size of a batch."""
    monkeypatch.setattr(inference, "has_bfloat16", lambda device_type: False)


@pytest.fixture
def settings(weights):
    return IndexSettings(features=f"encoder:cells:{weights}", size=SIZE, workers=2, kind="none")


@pytest.fixture
def learned(tmp_path, photos, settings, small_segments):
    path = tmp_path / "learned.ceret"
    build_index([photos], path, settings)
    return path


def grids_of(index):
    return np.concatenate(list(index.grids())).astype(np.float32)


def described(index, photos):
    """What the index should hold, photo by photo, alone."""
    paths = [photos / record.key for record in index.records(range(len(index)))]
    hole = center_holes(1, SIZE) if index.manifest.hole == "center" else None
    decoded = [
        np.asarray(Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for path in paths
    ]
    return np.concatenate([index.descriptor.describe(photo[None], hole) for photo in decoded])


def swap(path, seed, config=TINY):
    """Put other weights in the place of these."""
    sha256 = write_weights(path, seed, config)
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 10_000_000))
    return sha256


def test_an_index_holds_the_features_and_the_hash(float32, learned, photos, weights):
    index = PhotoIndex.open(learned)
    manifest = index.manifest
    assert manifest.descriptor == f"encoder:cells:{weights}"
    assert (manifest.cells, manifest.channels, manifest.size, manifest.count) == (4, 5, SIZE, 30)
    assert manifest.weights_sha256 == shipped.load_weights(str(weights)).sha256
    assert manifest.libraries["torch"] == torch.__version__
    np.testing.assert_allclose(grids_of(index), described(index, photos), atol=2e-3)


@pytest.mark.parametrize(("hole", "layer"), [("none", "cells"), ("center", "context")])
def test_search_is_exact_on_what_is_stored(float32, tmp_path, photos, settings, weights, small_segments, hole, layer):
    path = tmp_path / "x.ceret"
    build_index([photos], path, dataclasses.replace(settings, hole=hole, features=f"encoder:{layer}:{weights}"))
    index = PhotoIndex.open(path)
    assert index.manifest.descriptor == f"encoder:{layer}:{weights}"
    stored = grids_of(index)
    np.testing.assert_allclose(stored, described(index, photos), atol=2e-3)
    rng = np.random.default_rng(5)
    queries = rng.integers(0, 256, (6, SIZE // 4, SIZE // 4, 3), dtype=np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    holes = np.zeros((6, SIZE, SIZE), bool)
    for number, one in enumerate(holes):
        if hole == "center":
            one |= center_holes(1, SIZE)[0]
        else:
            y, x = rng.integers(0, 16, 2)
            one[y : y + 8 + number, x : x + 10] = True
    for focus in (None, 16.0):
        found = search_contexts(index, queries, holes, 30, focus=focus)
        grids = index.descriptor.describe(queries, holes)
        for row in range(6):
            share = cell_weights(index.descriptor, holes[row], focus).astype(np.float64)
            squares = np.square(stored.astype(np.float64) - grids[row]).sum(axis=2)
            exact = (squares * share).sum(axis=1) / share.sum()
            np.testing.assert_array_equal(found.ids[row], np.lexsort((np.arange(30), exact.astype(np.float32))))
            np.testing.assert_allclose(found.scores[row], np.sort(exact), rtol=1e-4, atol=1e-7)


def test_a_photo_of_the_collection_finds_itself(learned, helpers):
    index = PhotoIndex.open(learned)
    hole = np.zeros((40, 40), bool)
    hole[12:16, 12:17] = True
    for seed in (3, 20):
        best = find_neighbors(index, helpers.pixels(seed), hole, 3)[0]
        assert best.record.key.endswith(f"{seed:04d}.png")


def test_any_number_of_workers_writes_the_same_bytes(tmp_path, photos, settings, learned, helpers):
    for workers in (1, 4):
        other = tmp_path / f"{workers}.ceret"
        build_index([photos], other, dataclasses.replace(settings, workers=workers))
        assert helpers.contents(other) == helpers.contents(learned)


def test_a_stopped_build_goes_on_to_the_same_bytes(tmp_path, photos, settings, learned, helpers):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done >= 20:
            raise Stop

    out = tmp_path / "stopped.ceret"
    with pytest.raises(Stop):
        build_index([photos], out, settings, stop)
    assert 0 < read_manifest(out).count < 30
    assert build_index([photos], out, settings).present == read_manifest(learned).segments[0].count * 2
    assert helpers.contents(out) == helpers.contents(learned)


def test_photos_are_added_with_the_same_weights(float32, learned, photos, helpers):
    helpers.write_photos(photos, range(100, 107))
    assert add_photos(learned, [photos]).added == 7
    index = PhotoIndex.open(learned)
    np.testing.assert_allclose(grids_of(index), described(index, photos), atol=2e-3)


def test_the_weights_of_the_package(tmp_path, photos, weights, monkeypatch, small_segments):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "weights")
    weights.rename(tmp_path / "weights" / shipped.SHIPPED)
    for hole, spec in (("none", "encoder:fill"), ("center", "encoder:fill")):
        out = tmp_path / f"{hole}.ceret"
        settings = IndexSettings(features="encoder", size=SIZE, hole=hole, kind="none")
        build_index([photos], out, settings)
        assert read_manifest(out).descriptor == spec
        assert build_index([photos], out, settings).present == add_photos(out, [photos]).present == 30
    local = IndexSettings(features="encoder:cells", size=SIZE, hole="center", kind="none")
    build_index([photos], tmp_path / "local.ceret", local)
    assert read_manifest(tmp_path / "local.ceret").descriptor == "encoder:cells"
    assert add_photos(tmp_path / "local.ceret", [photos]).present == 30


def test_other_weights_are_refused_by_both_hashes(learned, photos, settings, weights, helpers, tmp_path):
    old = read_manifest(learned).weights_sha256
    before = helpers.contents(learned)
    opened = PhotoIndex(learned, read_manifest(learned))
    new = swap(weights, 2)
    calls = [
        lambda: PhotoIndex.open(learned),
        lambda: opened.descriptor,
        lambda: add_photos(learned, [photos]),
        lambda: build_index([photos], learned, settings),
    ]
    for call in calls:
        with pytest.raises(PhotoIndexError, match=f"{old[:12]}.*{new[:12]}.*put the old weights back") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert helpers.contents(learned) == before
    assert swap(weights, 1) == old
    assert len(PhotoIndex.open(learned)) == 30


def test_a_stopped_build_does_not_go_on_with_other_weights(learned, photos, settings, weights, helpers):
    helpers.edit_manifest(learned, complete=False)
    swap(weights, 2)
    with pytest.raises(PhotoIndexError, match="put the old weights back"):
        build_index([photos], learned, settings)


def test_weights_that_vanished_or_take_other_photos(learned, photos, weights):
    aside = weights.rename(weights.with_name("aside"))
    for call in (lambda: PhotoIndex.open(learned), lambda: add_photos(learned, [photos])):
        with pytest.raises(CheckpointError, match=r"tiny\.safetensors: no such checkpoint"):
            call()
    aside.rename(weights)
    swap(weights, 1, dataclasses.replace(TINY, size=64))
    for call in (lambda: PhotoIndex.open(learned), lambda: add_photos(learned, [photos])):
        with pytest.raises(SettingsError, match="takes photos of 64 px, not 32"):
            call()
    assert read_manifest(learned).count == 30, "what the index is can be told without its weights"


def test_a_network_counts_as_memory(weights):
    network, plain = make_descriptor(f"encoder:cells:{weights}", SIZE), make_descriptor("thumbnail:8", SIZE)
    budgets = [make_decode_budget(descriptor, 2, 4 << 30).total for descriptor in (network, plain)]
    assert budgets[1] - budgets[0] > 200 << 20
    with pytest.raises(SettingsError, match=r"`max_memory` 400MB is too little for encoder:cells.*give at least"):
        make_decode_budget(network, 2, 400 << 20)


def ceret(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


def test_the_commands(tmp_path, photos, weights, helpers, monkeypatch):
    out, query = tmp_path / "c.ceret", tmp_path / "q.png"
    Image.fromarray(helpers.pixels(3)).save(query)
    mask = np.zeros((40, 40), np.uint8)
    mask[12:16, 12:17] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    ceret("index", photos, "--out", out, "--features", f"encoder:cells:{weights}", "--size", SIZE, "--kind", "none")
    about = json.loads(ceret("info", out, "--json").stdout)
    sha256 = read_manifest(out).weights_sha256
    assert (about["features"], about["channels"], about["weights"]) == (f"encoder:cells:{weights}", 5, sha256)
    assert f"weights         {sha256}\n" in ceret("info", out).stdout
    search = ["query", query, "--mask", tmp_path / "m.png", "--index", out, "-k", 2]
    assert "0003.png" in ceret(*search).stdout.splitlines()[0]
    new = swap(weights, 2)
    errors = [
        (search, f"weights {sha256[:12]}, but .* {new[:12]} now"),
        (["add", out, photos], f"weights {sha256[:12]}, but .* {new[:12]} now"),
        (
            ["index", photos, "--out", tmp_path / "d.ceret", "--kind", "none", "--features", f"encoder:{weights}"],
            "--size 32",
        ),
        (
            ["index", photos, "--out", tmp_path / "d.ceret", "--kind", "none", "--features", "encoder:absent"],
            "absent: no such checkpoint",
        ),
        (
            [
                "index",
                photos,
                "--out",
                tmp_path / "d.ceret",
                "--kind",
                "none",
                "--features",
                f"encoder:bottleneck:{weights}",
            ],
            "its layers are",
        ),
    ]
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "nowhere")
    errors.append(
        (
            ["index", photos, "--out", tmp_path / "d.ceret", "--kind", "none", "--features", "encoder"],
            "are not installed",
        )
    )
    for arguments, message in errors:
        done = ceret(*arguments, code=2 if message in ("--size 32", "its layers are") else 1)
        *usage, line = done.stderr.splitlines()
        assert line.startswith("Error: ") and re.search(message, line)
        assert [text.partition(" ")[0] for text in usage] == (["Usage:", "Try", ""] if done.exit_code == 2 else [])
    assert not (tmp_path / "d.ceret").exists()
    assert ceret("info", out).exit_code == ceret("verify", out).exit_code == 0


def test_an_index_that_is_not_learned_names_none(index):
    assert not re.search("^weights", ceret("info", index).stdout, re.MULTILINE)
    assert json.loads(ceret("info", index, "--json").stdout)["weights"] is None
