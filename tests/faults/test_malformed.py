"""Malformed photos, containers and indexes of a seeded fuzzer: an error of one line, or a photo; the long form is a command."""

import shutil

import drivers
import h5py
import mutations
import pytest
import whole_index

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex, read_manifest
from ce_retrieval.retrieval.tuning import TuningSettings, tune_index


@pytest.mark.parametrize(("what", "count"), [("photos", 1000), ("containers", 200), ("indexes", 8)])
def test_malformed_input_is_an_error_of_one_line(what, count, tmp_path):
    tried, faults = drivers.fuzz(what, 0, count, tmp_path)
    assert tried == count and not faults, "\n".join(faults)


def test_the_fuzzer_finds_a_fault(tmp_path, monkeypatch):
    """A case that kills the process is told, and the next ones are tried all the same."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys, threading\n"
        "if any(name.endswith('fuzz_driver.py') for name in sys.orig_argv):\n"
        "    import ce_retrieval.photos as photos\n"
        "    real = photos.decode_photo\n"
        "    def decode(data, **options):\n"
        "        if len(data) % 5 == 3: os._exit(9)\n"
        "        if len(data) % 5 == 4: raise KeyError('x')\n"
        "        return real(data, **options)\n"
        "    photos.decode_photo = decode\n"
    )
    environment = {**drivers.ENVIRONMENT, "PYTHONPATH": f"{site}:{drivers.ENVIRONMENT['PYTHONPATH']}"}
    monkeypatch.setattr(drivers, "ENVIRONMENT", environment)
    sizes = [len(mutations.malformed_photo(case)[1]) % 5 for case in range(40)]
    tried, faults = drivers.fuzz("photos", 0, 40, tmp_path)
    assert tried == 40 and {3, 4} <= set(sizes)
    assert [int(fault.split()[1].strip(":")) for fault in faults] == [
        n for n, size in enumerate(sizes) if size in (3, 4)
    ]
    assert any("ended with 9" in fault for fault in faults) and any("KeyError" in fault for fault in faults)


@pytest.fixture
def spoil(whole, tmp_path):
    """A function that changes the manifest of a copy of the whole index, checksum right, and reads it; a message."""

    def message_of(change):
        index = tmp_path / "spoilt.ceret"
        shutil.copytree(whole, index)
        content = whole_index.read_content(index)
        change(content)
        whole_index.write_content(index, content)
        with pytest.raises(CorruptIndexError) as caught:
            read_manifest(index)
        return str(caught.value)

    return message_of


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["segments"][1].update(name="../../elsewhere"), "'../../elsewhere' has no name of digits"),
        (lambda c: c["segments"][1].update(name=c["segments"][0]["name"]), "two segments have one name"),
        (lambda c: c["segments"][0].update(count=10**15), "has 1000000000000000 photos in"),
        (lambda c: c["segments"][0].update(count="8"), "segment has count '8'"),
        (lambda c: c["segments"][0]["files"].pop("vectors.h5"), "has no vectors.h5"),
        (
            lambda c: c["segments"][0]["files"].update({"../x": c["segments"][0]["files"]["vectors.h5"]}),
            "a file '../x'",
        ),
        (lambda c: c["segments"][0]["skipped"][0].update(source=7), "names source 7 of 1"),
        (lambda c: c["sources"][0].update(kind="disk"), "a source is of the kind 'disk'"),
        (lambda c: c.update(size=True), "manifest has size True"),
        (lambda c: c.update(channels=0), "channels is 0"),
        (lambda c: c["codes"].update(effort=float("nan")), "storedcodes has effort nan"),
        (lambda c: c["codes"].update(cells=16), "its codes are of grids"),
        (lambda c: c["kind"].update(channels=0), "its kind features have no size"),
    ],
)
def test_a_manifest_that_says_what_cannot_be_is_damaged(spoil, change, message):
    told = spoil(change)
    assert message in told and "manifest.json is damaged" in told and "\n" not in told


def test_a_codebook_that_is_none_is_named(whole, tmp_path):
    index = tmp_path / "spoilt.ceret"
    shutil.copytree(whole, index)
    content = whole_index.read_content(index)
    content["codes"]["codebook"] = content["codes"]["codebook"][:40]
    whole_index.write_content(index, content)
    with pytest.raises(CorruptIndexError, match=r"codebook that cannot be read .*`ceret tune"):
        _ = PhotoIndex.open(index).vectors


def test_features_too_large_for_codes_are_named_before_anything_is_written(whole, tmp_path):
    index = tmp_path / "large.ceret"
    shutil.copytree(whole, index)
    for file in index.rglob("vectors.h5"):
        with h5py.File(file, "r+") as opened:
            opened["grids"][:] = 2000 * opened["grids"][:]
    whole_index.mend_checksums(index)
    before = whole_index.contents(index)
    with pytest.raises(PhotoIndexError, match=r"too large for codes .*choose the `recipe` exact"):
        tune_index(index, TuningSettings(recipe="pooled"))
    assert whole_index.contents(index) == before
