"""`ceret table1`: Table 1 of the paper on other photos."""

import json

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.evaluation.table1 import PAPER
from ce_retrieval.photo_index import IndexSettings, build_index


@pytest.fixture(scope="module")
def queries(tmp_path_factory, bundled_photos):
    folder = tmp_path_factory.mktemp("queries")
    for number, photo in enumerate(bundled_photos[:3]):
        Image.fromarray(np.ascontiguousarray(photo[60:220, 90:250])).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory, crop_folder):
    path = tmp_path_factory.mktemp("index") / "crops.ceret"
    build_index([crop_folder / "photo3"], path, IndexSettings("thumbnail", workers=1, kind="none"))
    return path


def test_the_papers_figures_stand_beside_ours(ceret, queries, index, tmp_path, shipped_weights):
    told = ceret("table1", queries, "--index", index, "--out", tmp_path / "out", "--limit", 2)
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    results = json.loads((tmp_path / "out" / "results.json").read_bytes())
    assert results["settings"]["masks"] == "center"
    for line, method, row in zip(lines[2:5], results["methods"], PAPER, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:2] == [method["name"], row.method]
        for place, (name, paper) in enumerate((("l1", row.l1), ("l2", row.l2), ("psnr", row.psnr))):
            low, high = method["intervals"][name]
            assert cells[2 + 2 * place] == f"{method[name]:.2f} ({low:.2f} to {high:.2f})"
            assert cells[3 + 2 * place] == f"{paper:.2f}"
    assert "Paris StreetView" in told.stdout
    written = (tmp_path / "out" / "table1.md").read_text().splitlines()
    assert written[:5] == lines[:5]

    again = ceret("table1", queries, "--index", index, "--out", tmp_path / "out", "--limit", 2, "--json")
    rows = json.loads(again.stdout)["rows"]
    assert [row["paper"]["l2"] for row in rows] == [6.92, 4.30, 1.96]
    assert [row["l2"] for row in rows] == [method["l2"] for method in results["methods"]]


def test_bad_input(ceret, one_line_error, queries, index, tmp_path, shipped_weights):
    base = ["table1", queries, "--index", index]
    (tmp_path / "table1.md").write_text("mine")
    assert "table1.md" in one_line_error(ceret(*base, "--out", tmp_path))
    assert (tmp_path / "table1.md").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1
    (tmp_path / "empty").mkdir()
    told = one_line_error(ceret("table1", tmp_path / "empty", "--index", index, "--out", tmp_path / "out"))
    assert "empty" in told
    assert "--limit" in one_line_error(ceret(*base, "--out", tmp_path / "out", "--limit", 0))
    missing = one_line_error(ceret(*base, "--out", tmp_path / "out", "--weights", tmp_path / "no.safetensors"))
    assert "no such checkpoint file" in missing
