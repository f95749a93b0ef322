"""`--json`: every command that prints a result prints it as JSON too, and nothing else to stdout."""

import json
import math

import numpy as np
import pytest
from PIL import Image

from cli.main import COMMANDS, main
from cli.options import options_of
from cli.output import print_json


@pytest.fixture
def few(tmp_path, bundled_photos):
    """A folder of three photos and a file that is not one."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number, photo in enumerate(bundled_photos[:3]):
        Image.fromarray(photo[:96, :96]).save(folder / f"{number}.png")
    (folder / "bad.jpg").write_bytes(b"no photo")
    return folder


def answer(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "app"])  # it prints an address
def test_every_command_can_print_json(name):
    assert options_of(main.get_command(None, name))["as_json"] == "--json"


def test_index_and_add(ceret, few, crop_folder, tmp_path):
    out = tmp_path / "few.ceret"
    built = answer(
        ceret("index", few, "--out", out, "--features", "thumbnail:4", "--size", 32, "--kind", "none", "--json")
    )
    ((name, reason),) = built.pop("skipped_files")
    assert name == str(few / "bad.jpg") and "not a photo" in reason
    none = {"changed": [], "vanished": [], "refused": [], "notes": [], "kind": None, "places": False, "kept_out": 0}
    none |= {"duplicates": 0, "duplicate_files": []}
    assert built == {"index": str(out), "photos": 3, "added": 3, "present": 0, "skipped": 1, **none}
    again = ceret("index", few, "--out", out, "--features", "thumbnail:4", "--size", 32, "--kind", "none")
    assert again.stdout == f"{out}: 3 photos, 3 of them from an earlier run; 1 file skipped; no kind features\n"
    arguments = ["add", out, crop_folder / "photo1"]
    first = answer(ceret(*arguments, "--json"))
    assert first == {
        "index": str(out),
        "photos": 18,
        "added": 15,
        "present": 0,
        "skipped": 0,
        "skipped_files": [],
        **none,
    }
    second = answer(ceret(*arguments, "--json"))
    assert second == {**first, "added": 0, "present": 15}
    text = ceret(*arguments).stdout
    assert text == f"{out}: 0 photos added, 15 were there already, 18 in all; 0 files skipped; no kind features\n"


def test_pack_and_train(ceret, few, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from ce_retrieval.training.trainer import Summary

    out = tmp_path / "few.h5"
    packed = answer(ceret("pack", few, "--out", out, "--size", 40, "--json"))
    ((name, reason),) = packed.pop("skipped_files")
    assert name == "bad.jpg" and reason
    assert packed == {"out": str(out), "photos": 3, "size": 40, "skipped": 1, "notes": []}
    summary = Summary(steps=4, seconds=1.5, best_step=2, best={"l2": 3.25, "psnr": math.inf}, weights=tmp_path / "best")
    monkeypatch.setattr("ce_retrieval.training.trainer.train", lambda *_, **__: summary)
    arguments = ["train", out, "--out", tmp_path / "run", "--steps", 4, "--set", "size=32"]
    assert answer(ceret(*arguments, "--json")) == {
        "steps": 4,
        "seconds": 1.5,
        "best_step": 2,
        "best": {"l2": 3.25, "psnr": None},
        "weights": str(tmp_path / "best"),
    }
    assert ceret(*arguments).stdout == f"{tmp_path / 'best'} (step 2)\n"


def test_evaluate(ceret, crop_folder, crop_index, tmp_path):
    arguments = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"]
    result = ceret(*arguments, "--limit", 2, "--out", tmp_path, "--json")
    found = answer(result)
    assert found.pop("written") == [str(tmp_path / name) for name in ("table.md", "sheet-01.png", "results.json")]
    stored = json.loads((tmp_path / "results.json").read_bytes())
    assert len(stored.pop("sha256")) == 64 and found == stored
    assert [method["name"] for method in found["methods"]] == ["smooth"] and len(found["photos"]) == 2


def test_what_json_cannot_hold(capfd):
    print_json({"a": [math.inf, -math.inf, math.nan, 0.5], "name": "caf\udce9"})
    assert json.loads(capfd.readouterr().out) == {"a": [None, None, None, 0.5], "name": "caf\udce9"}
    with pytest.raises(TypeError):
        print_json({"a": np.float32(1)})
