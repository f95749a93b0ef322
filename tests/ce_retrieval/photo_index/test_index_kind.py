"""Kind features beside an index's own: built, resumed, grown, changed, checked, searched; and all that can be wrong with them."""

import dataclasses
import json
import re

import fake_kind as fakes
import numpy as np
import pytest
from click.testing import CliRunner
from kind_features import expected_kinds, kind_files, kinds_of
from PIL import Image

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.descriptors.one_vector import make_one_vector
from ce_retrieval.errors import (
    CorruptIndexError,
    DescriptorError,
    NoKindError,
    PhotoIndexError,
    SettingsError,
)
from ce_retrieval.photo_index import (
    IndexSettings,
    PhotoIndex,
    add_photos,
    build_index,
    builder,
    read_manifest,
    verify_index,
)
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.retrieval.search import find_neighbors
from cli.main import main


def hole_at(top, left, side=6):
    hole = np.zeros((40, 40), bool)
    hole[top : top + side, left : left + side] = True
    return hole


def ceret(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


def change_weights(monkeypatch, fake_kind):
    monkeypatch.setattr(fake_kind, "weights_sha256", fakes.NEW)


def test_a_vector_of_norm_1_for_each_photo_stands_beside_the_features(kind_index, index, kind_settings):
    manifest = read_manifest(kind_index)
    assert (manifest.kind.descriptor, manifest.kind.channels, manifest.kind.weights_sha256) == ("kind", 48, fakes.OLD)
    found = kinds_of(kind_index)
    assert found.dtype == np.float16 and found.shape == (30, 48)
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(found, expected_kinds(kind_index), atol=2e-3)
    assert verify_index(kind_index).problems == () and verify_index(kind_index).files == 12
    plain, both = (list(PhotoIndex.open(path).grids()) for path in (index, kind_index))
    np.testing.assert_array_equal(np.concatenate(both), np.concatenate(plain))


def test_the_format_says_that_they_are_there(kind_index, index):
    for path, version in ((kind_index, 3), (index, 1)):
        content = json.loads((path / "manifest.json").read_bytes())
        assert content["version"] == version and ("kind" in content) == (version == 3)


def test_under_the_protocol_of_a_centre_hole_nothing_sees_a_centre(tmp_path, photos, kind_settings, helpers):
    from ce_retrieval.holes.strategies import center_holes

    out = tmp_path / "c.ceret"
    build_index([photos], out, dataclasses.replace(kind_settings, hole="center"))
    np.testing.assert_allclose(kinds_of(out), expected_kinds(out, center_holes(1, 128)), atol=2e-3)
    index = PhotoIndex.open(out)
    hole = np.zeros((40, 40), bool)
    hole[10:30, 10:30] = True
    assert find_neighbors(index, helpers.pixels(3), hole, 1, features="kind")[0].record.key == "odd/0003.png"
    with pytest.raises(PhotoIndexError, match="must be the central half"):
        find_neighbors(index, helpers.pixels(3), hole_at(2, 2), 1, features="kind")


def test_the_bytes_do_not_depend_on_threads_or_on_stops(tmp_path, photos, kind_settings, kind_index, helpers):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done >= 20:
            raise Stop

    for workers in (1, 4):
        build_index([photos], tmp_path / f"{workers}.ceret", dataclasses.replace(kind_settings, workers=workers))
        assert helpers.contents(tmp_path / f"{workers}.ceret") == helpers.contents(kind_index)
    stopped = tmp_path / "stopped.ceret"
    with pytest.raises(Stop):
        build_index([photos], stopped, kind_settings, stop)
    for kind in ("none", "kind"):
        if kind == "none":
            with pytest.raises(PhotoIndexError, match=r"was built with kind kind, not none: choose another folder"):
                build_index([photos], stopped, dataclasses.replace(kind_settings, kind=kind))
        else:
            assert build_index([photos], stopped, kind_settings).present == 16
    assert helpers.contents(stopped) == helpers.contents(kind_index)


def test_new_photos_get_them_too(kind_index, photos, helpers):
    before = kinds_of(kind_index)
    helpers.write_photos(photos, range(100, 107))
    (photos / "even" / "0002.png").unlink()
    report = add_photos(kind_index, [photos])
    assert (report.added, report.count, report.kind) == (7, 36, "kind")
    after = kinds_of(kind_index)
    np.testing.assert_allclose(after, expected_kinds(kind_index), atol=2e-3)
    assert len(after) == 36 and verify_index(kind_index).problems == () and len(before) == 30


def test_changed_weights_are_named_and_can_be_taken(kind_index, photos, kind_settings, helpers, monkeypatch, fake_kind):
    change_weights(monkeypatch, fake_kind)
    before = helpers.contents(kind_index)
    index = PhotoIndex.open(kind_index)
    assert find_neighbors(index, helpers.pixels(3), hole_at(9, 9), 1)[0].record.key == "odd/0003.png"
    message = (
        f"kind features of {kind_index} were made with weights {fakes.OLD[:12]}, but kind has weights {fakes.NEW[:12]} now: "
        f"put the old weights back, or make them anew with `ceret add {kind_index} --kind kind`"
    )
    for act in (
        lambda: find_neighbors(PhotoIndex.open(kind_index), helpers.pixels(3), hole_at(9, 9), 1, features="kind"),
        lambda: add_photos(kind_index, [photos]),
    ):
        with pytest.raises(NoKindError, match=re.escape(message)):
            act()
    with pytest.raises(PhotoIndexError, match=r"with other weights of the kind kind: change it with `ceret add"):
        build_index([photos], kind_index, kind_settings)
    assert helpers.contents(kind_index) == before
    old = kind_files(kind_index)
    add_photos(kind_index, kind="kind")
    assert len(list(index.kinds())) == 4, "readers keep what they opened"
    assert read_manifest(kind_index).kind.weights_sha256 == fakes.NEW
    del index
    add_photos(kind_index)
    assert len(kind_files(kind_index)) == 4 and not set(kind_files(kind_index)) & set(old)
    found = find_neighbors(PhotoIndex.open(kind_index), helpers.pixels(3), hole_at(9, 9), 1, features="kind")
    assert found[0].record.key == "odd/0003.png"


@pytest.mark.parametrize("harm", ["flip", "cut", "unlink"])
def test_a_damaged_file_is_named_and_can_be_made_anew(kind_index, helpers, harm):
    whole = helpers.contents(kind_index)
    path = kind_index / kind_files(kind_index)[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if harm != "unlink":
        path.write_bytes(data if harm == "flip" else data[:-1])
    found = verify_index(kind_index)
    assert len(found.problems) == 1 and str(path) in found.problems[0]
    for act in (lambda: list(PhotoIndex.open(kind_index).kinds()), lambda: add_photos(kind_index)):
        with pytest.raises(
            CorruptIndexError, match=rf"{path} .*make it anew with `ceret add {kind_index} --kind KIND`"
        ):
            act()
    add_photos(kind_index, kind="kind")
    assert helpers.contents(kind_index) == whole


def test_verify_compares_them_with_the_manifest(kind_index, helpers):
    manifest = json.loads((kind_index / "manifest.json").read_bytes())
    helpers.edit_manifest(kind_index, kind={**manifest["kind"], "channels": 47})
    problems = verify_index(kind_index).problems
    assert len(problems) == 4
    file = read_manifest(kind_index).kind_file
    found = "cannot be read (its vectors are float16 of shape (8, 48), expected float16 (8, 47))"
    assert problems[1].startswith(
        f"{kind_index / 'segments' / '000002' / file} {found}: restore it from a copy, or make it anew"
    )


def test_damage_elsewhere_stops_a_change_of_kind(kind_index):
    (kind_index / "segments" / "000002" / "vectors.h5").write_bytes(b"")
    with pytest.raises(CorruptIndexError, match=r"vectors\.h5 has 0 bytes"):
        add_photos(kind_index, kind="none")


def test_without_torch_an_index_has_none_and_says_so(tmp_path, photos, kind_settings, helpers, monkeypatch):
    monkeypatch.setattr(builder, "missing_packages", lambda: ["torch"])
    out = tmp_path / "plain.ceret"
    done = ceret("index", photos, "--out", out, "--features", "thumbnail:8", "--size", 32)
    assert done.stdout == f"{out}: 30 photos; 0 files skipped; no kind features\n"
    note = "no kind features, which need torch: pip install torch, then add them with"
    assert done.stderr == f"note: {out}: {note} `ceret add {out} --kind kind`\n"
    assert kind_files(out) == [] and read_manifest(out).kind is None


def test_the_commands(tmp_path, photos, helpers, fake_kind):
    out, query, mask = tmp_path / "c.ceret", tmp_path / "q.png", tmp_path / "m.png"
    Image.fromarray(helpers.pixels(3)).save(query)
    Image.fromarray(hole_at(10, 10)).save(mask)
    build = ("index", photos, "--out", out, "--features", "thumbnail:8", "--size", 32)
    search = ("query", query, "--mask", mask, "--index", out, "--features", "kind", "-k", 3)
    assert "no kind features" in ceret(*build, "--kind", "none").stdout
    error = f"Error: {out} has no kind features: add them with `ceret add {out} --kind kind`\n"
    assert ceret(*search, code=1).stderr == error
    assert ceret(*build).stderr == f"note: {out}: no kind features: add them with `ceret add {out} --kind kind`\n"
    assert "30 in all; 0 files skipped; kind features by kind\n" in ceret("add", out, "--kind", "kind").stdout
    assert json.loads(ceret(*build, "--json").stdout)["kind"] == "kind"
    lines = ceret(*search).stdout.splitlines()
    assert len(lines) == 3 and lines[0].endswith("odd/0003.png") and float(lines[0].split()[1]) < 0.01
    answer = json.loads(ceret(*search, "--json").stdout)
    assert (answer["features"], answer["focus"]) == ("kind", None)
    about = json.loads(ceret("info", out, "--json").stdout)
    assert about["kind"] == {"features": "kind", "channels": 48, "photo_size": 128, "weights": fakes.OLD}
    assert (
        f"kind            features kind, channels 48, photo_size 128, weights {fakes.OLD}\n"
        in ceret("info", out).stdout
    )
    assert ceret("verify", out).stdout == f"{out}: 3 files checked, 0 problems\n"
    for value in ("gist", "", "onnx"):
        assert "--kind is '" in ceret("add", out, "--kind", value, code=2).stderr
    assert "--focus is 8" in ceret(*search, "--focus", 8, code=2).stderr


@pytest.mark.parametrize("kind", ["", "hog", 3, None, "kind:x"])
def test_the_kind_is_checked_when_the_settings_are_made(kind):
    with pytest.raises(SettingsError, match=r"`kind` is .*expected (kind, onnx:FILE or none|a text)"):
        IndexSettings(kind=kind)


def test_features_that_are_the_kind_are_not_stored_twice(tmp_path, photos, kind_settings, helpers, small_segments):
    out = tmp_path / "own.ceret"
    build_index([photos], out, dataclasses.replace(kind_settings, features="kind", size=128))
    manifest = read_manifest(out)
    assert manifest.kind_is_own and manifest.kind_file is None and kind_files(out) == []
    np.testing.assert_allclose(np.linalg.norm(kinds_of(out).astype(np.float32), axis=1), 1, atol=2e-3)
    found = find_neighbors(PhotoIndex.open(out), helpers.pixels(3), hole_at(9, 9), 2, features="kind")
    assert found[0].record.key == "odd/0003.png"
    add_photos(out, kind="none")
    assert read_manifest(out).kind is None
    add_photos(out, kind="kind")
    assert read_manifest(out) == manifest and verify_index(out).problems == ()


def test_memory_is_counted(fake_kind, monkeypatch):
    plain = make_descriptor("thumbnail:8", 32)
    monkeypatch.setattr(fake_kind, "memory", 300 << 20)
    kind = make_one_vector("kind", 32)
    budgets = [make_decode_budget(plain, 2, 4 << 30, one).total for one in (None, kind)]
    assert 300 << 20 < budgets[0] - budgets[1] < 320 << 20
    with pytest.raises(SettingsError, match=r"for thumbnail:8 and kind features \(kind\) with 2 .*, or `kind` none"):
        make_decode_budget(plain, 2, 400 << 20, kind)


def test_the_kind_that_ships_is_the_default(tmp_path, photos, shipped_weights, one_thread_torch):
    out = tmp_path / "shipped.ceret"
    report = build_index([photos / "odd"], out, IndexSettings(features="thumbnail:8", size=32, workers=1))
    kind = make_descriptor("kind", 128)
    assert (report.count, report.kind, read_manifest(out).kind.weights_sha256) == (15, "kind", kind.weights_sha256)
    index = PhotoIndex.open(out)
    photo = index.read_photo(index.records([4])[0], 32).pixels
    square = np.asarray(Image.fromarray(photo).resize((128, 128), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(kinds_of(out)[4], kind.describe(square[None])[0, 0], atol=2e-3)
    whole = read_manifest(out)
    add_photos(out, kind="none", workers=1)
    add_photos(out, kind="kind", workers=1)
    assert read_manifest(out) == whole and "torch" in whole.libraries


def test_the_kind_of_a_network_that_fails(tmp_path, photos, kind_settings):
    missing = tmp_path / "none.onnx"
    for act in (
        lambda: build_index([photos], tmp_path / "x.ceret", dataclasses.replace(kind_settings, kind=f"onnx:{missing}")),
        lambda: build_index([photos], tmp_path / "x.ceret", dataclasses.replace(kind_settings, kind="onnx:")),
    ):
        with pytest.raises((DescriptorError, SettingsError), match=r"there is no such file|expected a file"):
            act()
    assert not (tmp_path / "x.ceret").exists()
