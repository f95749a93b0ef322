"""Local features beside an index's own: built, resumed, grown, dropped, checked; and all that can be wrong with them."""

import dataclasses
import io
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ce_retrieval.errors import CorruptIndexError, NoPlacesError, PhotoError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, build_index, read_manifest, verify_index
from ce_retrieval.photo_index.decode_budget import make_decode_budget
from ce_retrieval.photo_index.places import MOST, place_features
from ce_retrieval.places.inverted_file import NOT_DESCRIBED, open_inverted
from ce_retrieval.places.search import nearest_places, place_votes
from cli.main import main


def textured(seed, side=80):
    """A photo of blobs of many sizes, unlike any other seed's."""
    rng, total = np.random.default_rng(seed), np.zeros((side, side, 3))
    for cells in (5, 10, 20):
        rough = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(rough.resize((side, side), Image.Resampling.BICUBIC)) / 3
    return total.astype(np.uint8)


def write(folder, seeds):
    folder.mkdir(exist_ok=True)
    for seed in seeds:
        Image.fromarray(textured(seed)).save(folder / f"{seed:04d}.png")
    return folder


@pytest.fixture
def photos(tmp_path):
    """A folder of 20 textured photos, and one without any feature."""
    folder = write(tmp_path / "photos", range(20))
    Image.new("RGB", (60, 50), (90, 120, 200)).save(folder / "blank.png")
    return folder


@pytest.fixture
def settings(helpers):
    return dataclasses.replace(helpers.SETTINGS, places=True)


@pytest.fixture
def placed(tmp_path, photos, small_segments, settings):
    """An index of `photos` with local features: three segments."""
    path = tmp_path / "placed.ceret"
    build_index([photos], path, settings)
    return path


@pytest.fixture
def plain(tmp_path, photos, small_segments, helpers):
    path = tmp_path / "plain.ceret"
    build_index([photos], path, helpers.SETTINGS)
    return path


def files(path):
    return sorted(path.rglob("places-*"))


def first_of(path, seed, **more):
    """The key of the photo that is found for one of a seed."""
    index = PhotoIndex.open(path)
    found = nearest_places(index, textured(seed), None, 3, **more)
    return index.records(found.ids[:1])[0].key if len(found.ids) else None


def ceret(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    return done


def stopped(after):
    def stop(done, total):
        if done >= after:
            raise KeyboardInterrupt

    return stop


def test_each_photo_has_its_features_beside_the_grids(placed, plain, photos):
    manifest = read_manifest(placed)
    assert json.loads((placed / "manifest.json").read_bytes())["version"] == 4
    assert len(files(placed)) == 3 and verify_index(placed).problems == () and verify_index(placed).files == 9
    index, found = PhotoIndex.open(placed), {}
    for file, ids in index.place_files():
        for row, number in enumerate(ids):
            found[index.records([number])[0].key] = file, row
    assert len(found) == 21
    for key in ("0003.png", "0019.png", "blank.png"):
        file, row = found[key]
        own = place_features().of(np.asarray(Image.open(photos / key).convert("RGB")), "none")
        stored = np.sort(file.signatures[file.rows == row])
        np.testing.assert_array_equal(stored, np.sort(own.signatures))
        assert file.counts[row] == len(own.cells) and (len(own.cells) > 20) == (key != "blank.png")
        cells = np.repeat(np.arange(65536), np.diff(file.starts.astype(np.int64)))
        np.testing.assert_array_equal(cells[file.rows == row], np.sort(own.cells))
    for of_plain, of_placed in zip(PhotoIndex.open(plain).grids(), index.grids(), strict=True):
        np.testing.assert_array_equal(of_plain, of_placed)
    assert manifest.places.most == MOST and "opencv-python-headless" in manifest.libraries


def test_photos_are_found_and_a_blank_one_finds_nothing(placed):
    assert [first_of(placed, seed) for seed in range(20)] == [f"{seed:04d}.png" for seed in range(20)]
    index = PhotoIndex.open(placed)
    blank = np.full((50, 60, 3), 90, np.uint8)
    assert not place_votes(index, blank).any() and len(nearest_places(index, blank, None, 5).ids) == 0
    every = place_votes(index, textured(3))
    number = int(every.argmax())
    votes = place_votes(index, textured(3), None, np.arange(len(index)) != number)
    assert votes[number] == 0 and every[number] > 0 and votes.shape == (21,) and votes.dtype == np.float32


def test_a_stopped_build_ends_with_the_same_bytes(tmp_path, photos, placed, settings, helpers):
    out = tmp_path / "stopped.ceret"
    with pytest.raises(KeyboardInterrupt):
        build_index([photos], out, settings, stopped(12))
    with pytest.raises(PhotoIndexError, match="was built with local features: choose another folder"):
        build_index([photos], out, helpers.SETTINGS)
    assert build_index([photos], out, settings).present == 8
    assert helpers.contents(out) == helpers.contents(placed)


def test_a_build_begun_without_them_is_not_mixed(tmp_path, photos, small_segments, settings, helpers):
    out = tmp_path / "stopped.ceret"
    with pytest.raises(KeyboardInterrupt):
        build_index([photos], out, helpers.SETTINGS, stopped(12))
    with pytest.raises(PhotoIndexError, match="was built without local features: choose another folder"):
        build_index([photos], out, settings)


def test_new_photos_get_them_and_vanished_ones_are_not_found(placed, photos):
    write(photos, [30, 31])
    (photos / "0004.png").unlink()
    report = add_photos(placed)
    assert report.places and (report.added, len(report.vanished)) == (2, 1)
    assert first_of(placed, 31) == "0031.png" and first_of(placed, 4) != "0004.png"
    assert first_of(placed, 7) == "0007.png" and verify_index(placed).problems == ()


def test_an_index_without_them_gets_them_to_the_same_bytes_and_loses_them(plain, placed, helpers):
    before = helpers.contents(plain)
    with pytest.raises(
        NoPlacesError, match=re.escape(f"{plain} has no local features: add them with `ceret add {plain}")
    ):
        place_votes(PhotoIndex.open(plain), textured(3))
    assert not add_photos(plain).places, "nobody has asked for them"
    assert add_photos(plain, places=True).places
    names = [[str(file.relative_to(path)) for file in files(path)] for path in (plain, placed)]
    assert names[0] == names[1] and [f.read_bytes() for f in files(plain)] == [f.read_bytes() for f in files(placed)]
    whole = helpers.contents(plain)
    add_photos(plain, places=True)
    assert helpers.contents(plain) == whole, "nothing is read again"
    opened = PhotoIndex.open(plain)
    add_photos(plain, places=False)
    assert read_manifest(plain).places is None
    add_photos(plain)
    assert place_votes(opened, textured(3)).any(), "a reader keeps what it opened"
    del opened
    add_photos(plain)
    assert files(plain) == [], "the next writer deletes them"
    assert {name: data for name, data in helpers.contents(plain).items() if "manifest" not in name} == {
        name: data for name, data in before.items() if "manifest" not in name
    }


def test_a_stopped_addition_goes_on_where_it_was(plain, placed):
    before = (plain / "manifest.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        add_photos(plain, places=True, progress=lambda done, total: stopped(12)(done, total) if total == 21 else None)
    assert (plain / "manifest.json").read_bytes() == before and len(PhotoIndex.open(plain)) == 21
    if left := files(plain):
        written = left[0].stat().st_mtime_ns
        add_photos(plain, places=True)
        assert left[0].stat().st_mtime_ns == written
    add_photos(plain, places=True)
    assert [f.read_bytes() for f in files(plain)] == [f.read_bytes() for f in files(placed)]


def test_a_photo_that_was_gone_then_and_comes_back_is_described(plain, photos):
    aside = (photos / "0002.png").rename(photos.parent / "aside.png")
    add_photos(plain, places=True)
    assert NOT_DESCRIBED in np.concatenate([open_inverted(file).counts for file in files(plain)])
    aside.rename(photos / "0002.png")
    assert add_photos(plain, [photos]).count == 21
    assert first_of(plain, 2) == "0002.png" and verify_index(plain).problems == ()


def test_a_photo_that_cannot_be_read_any_more_is_named(plain, photos, tmp_path):
    more = write(tmp_path / "more", [50, 51])
    add_photos(plain, [more])
    (more / "0050.png").unlink()
    with pytest.raises(PhotoError, match=r"0050\.png of .* cannot be read any more"):
        add_photos(plain, [photos], places=True)
    assert read_manifest(plain).places is None and add_photos(plain, places=True).places


@pytest.mark.parametrize("harm", ["flip", "cut", "unlink"])
def test_a_damaged_file_is_named_and_can_be_made_anew(placed, helpers, harm):
    whole, path = helpers.contents(placed), files(placed)[1]
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.unlink()
    if harm != "unlink":
        path.write_bytes(data if harm == "flip" else data[:-1])
    assert [str(path) in problem for problem in verify_index(placed).problems] == [True]
    for act in (lambda: list(PhotoIndex.open(placed).place_files()), lambda: add_photos(placed)):
        with pytest.raises(CorruptIndexError, match=rf"{path} .*make it anew with `ceret add {placed} --places`"):
            act()
    add_photos(placed, places=True)
    assert helpers.contents(placed) == whole


def test_other_codes_are_named_and_can_be_taken(placed, helpers):
    content = json.loads((placed / "manifest.json").read_bytes())
    other = dataclasses.replace(read_manifest(placed).places, codes_sha256="0" * 64)
    for segment in content["segments"]:
        (name,) = (one for one in segment["files"] if one.startswith("places-"))
        segment["files"][other.file] = segment["files"].pop(name)
        place = placed / "segments" / segment["name"]
        (place / name).rename(place / other.file)
    helpers.edit_manifest(placed, places=dataclasses.asdict(other), segments=content["segments"])
    index = PhotoIndex(placed, read_manifest(placed))
    for act in (lambda: place_votes(index, textured(3)), lambda: add_photos(placed)):
        with pytest.raises(NoPlacesError, match=f"made by codes 000000000000 and .*`ceret add {placed} --places`"):
            act()
    add_photos(placed, places=True)
    assert first_of(placed, 3) == "0003.png"


def test_with_the_protocol_center_the_middle_is_not_described(tmp_path, photos, settings):
    out = tmp_path / "center.ceret"
    build_index([photos], out, dataclasses.replace(settings, hole="center"))
    changed = textured(3).copy()
    changed[20:60, 20:60] = textured(99)[20:60, 20:60]
    features = place_features()
    one, other = features.of(textured(3), "center"), features.of(changed, "center")
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
    stored = sum(int(file.counts.sum()) for file, _ in PhotoIndex.open(out).place_files())
    whole = sum(len(features.of(textured(seed), "none").cells) for seed in range(20))
    assert len(one.cells) > 0 and stored < whole / 2


def test_the_commands(tmp_path, photos):
    out = tmp_path / "c.ceret"
    build = ("index", photos, "--out", out, "--features", "thumbnail:8", "--size", 32, "--kind", "none")
    assert ceret(*build).stdout == f"{out}: 21 photos; 0 files skipped; no kind features\n"
    note = f"note: {out}: no local features: add them with `ceret add {out} --places`\n"
    assert ceret(*build, "--places").stderr == note
    assert "; local features\n" in ceret("add", out, "--places").stdout
    assert json.loads(ceret(*build, "--places", "--json").stdout)["places"] is True
    Image.fromarray(textured(3)).save(tmp_path / "q.png")
    mask = np.zeros((80, 80), bool)
    mask[30:45, 30:45] = True
    Image.fromarray(mask).save(tmp_path / "m.png")
    search = ("query", tmp_path / "q.png", "--mask", tmp_path / "m.png", "--index", out, "--features", "places")
    assert ceret(*search, "-k", 3).stdout.splitlines()[0].endswith("0003.png")
    answer = json.loads(ceret(*search, "--exclude-same-source", "--json", "--where", "key != '0005.png'").stdout)
    assert "0003.png" not in [neighbor["record"]["key"] for neighbor in answer["neighbors"]]
    assert answer["features"] == "places" and answer["focus"] is None
    assert "--focus is 8.0, but local features may lie anywhere" in ceret(*search, "--focus", 8, code=2).stderr
    about = json.loads(ceret("info", out, "--json").stdout)["places"]
    assert about["side"] == 640 and about["most"] == 300 and len(about["codes_sha256"]) == 64
    assert "places          codes_sha256 " in ceret("info", out).stdout
    assert "local features" not in ceret("add", out, "--no-places").stdout
    assert (
        ceret(*search, code=1).stderr
        == f"Error: {out} has no local features: add them with `ceret add {out} --places`\n"
    )
    assert json.loads(ceret("info", out, "--json").stdout)["places"] is None


def test_memory_is_counted():
    from ce_retrieval.descriptors import make_descriptor

    plain = make_descriptor("thumbnail:8", 32)
    budgets = [make_decode_budget(plain, 2, 4 << 30, None, places).total for places in (None, place_features())]
    assert 100 << 20 < budgets[0] - budgets[1] < 400 << 20
    with pytest.raises(SettingsError, match="and local features with 2 workers: give at least"):
        make_decode_budget(plain, 2, 300 << 20, None, place_features())


def test_places_is_true_or_false():
    with pytest.raises(SettingsError, match="`places` is 'yes': expected True or False"):
        IndexSettings(places="yes")


def test_a_large_photo_is_decoded_in_its_shape_and_its_square_as_ever():
    from ce_retrieval.photos import decode_photo
    from ce_retrieval.photos.decode import decode_both

    whole = Image.fromarray(textured(1, 900)).resize((900, 700))
    for kind, size, turn in (("PNG", 128, 1), ("JPEG", 128, 6), ("JPEG", 300, 1)):
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = turn
        whole.save(buffer, kind, exif=exif)
        square, larger = decode_both(buffer.getvalue(), name="x", size=size, side=450)
        expected = decode_photo(buffer.getvalue(), name="x", size=size)
        np.testing.assert_array_equal(square.pixels, expected.pixels)
        assert (square.width, square.height) == (expected.width, expected.height)
        full = Image.fromarray(decode_photo(buffer.getvalue(), name="x").pixels)
        shape = (350, 450) if turn == 1 else (450, 350)
        assert larger.shape == (*shape, 3)
        same = np.asarray(full.resize(shape[::-1], Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(same - larger).mean() < 1
