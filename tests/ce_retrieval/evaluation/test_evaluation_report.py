"""The report: the table, its notes, results.json and the sheets."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import StorageError
from ce_retrieval.evaluation import EvaluationSettings, evaluate, markdown_table, notes, tables, write_report
from ce_retrieval.metrics import PHOTO_METRICS
from ce_retrieval.photos import load_photo


@pytest.fixture(scope="module")
def folder(query_folder, tmp_path_factory):
    """Nine query photos and one without any structure, whose sharpness is undefined."""
    folder = tmp_path_factory.mktemp("report")
    for number, path in enumerate(sorted(query_folder.rglob("*.png"))[:9]):
        (folder / f"{number}.png").write_bytes(path.read_bytes())
    Image.fromarray(np.full((96, 96, 3), 100, np.uint8)).save(folder / "9.png")
    return folder


@pytest.fixture(scope="module")
def evaluation(folder, opened, tmp_path_factory):
    settings = EvaluationSettings(("thumbnail:16+rim", "smooth", "oracle"), seed=5)
    return evaluate([folder], opened, tmp_path_factory.mktemp("out"), settings)


def test_the_table_is_markdown_of_the_summaries(evaluation):
    lines = markdown_table(evaluation).splitlines()
    assert {line.count("|") for line in lines} == {11} and set(lines[1]) == set("|-:")
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    figures = ["L1 %", "L2 %", "PSNR dB", "PSNR of mean L2", "SSIM", "sharpness"]
    assert head == ["method", *figures, "P@10", "s/photo", "peak MB"]
    for line, result in zip(lines[2:], evaluation.results, strict=True):
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        summary = result.summary
        assert name == result.method.name and cells[6] == ""  # no folders, no labels
        values = [summary.l1, summary.l2, summary.psnr, summary.psnr_of_mean_l2, summary.ssim, summary.sharpness]
        assert [float(cell) for cell in cells[:6]] == pytest.approx(values, abs=0.006)
        assert float(cells[7].strip("≤")) == pytest.approx(result.cost.seconds, abs=1e-4)
        assert float(cells[8]) == pytest.approx(result.cost.memory, abs=0.5)


def test_times_of_a_busy_machine_are_marked(evaluation):
    def with_others(result, share):
        return replace(result, cost=result.cost._replace(seconds=0.5, others=share))

    rim, smooth, oracle = evaluation.results
    busy = replace(
        evaluation, results=[with_others(rim, 0.3), with_others(smooth, 0.05), with_others(oracle, math.nan)]
    )
    assert [line.split("|")[9].strip() for line in markdown_table(busy).splitlines()[2:]] == [
        "≤0.5000",
        "0.5000",
        "0.5000",
    ]
    assert [line for line in notes(busy) if line.startswith("≤")] == [
        "≤: an upper bound, as other work took more than 10% of the cores meanwhile: thumbnail:16+rim 30%."
    ]


def test_the_notes_name_region_range_averaging_and_time(evaluation):
    text = "\n".join(notes(evaluation))
    assert "10 photos at 64x64, holes: center, seed 5; collection of 60 photos, indexed with hole none." in text
    for wanted in (
        "Region: hole pixels",
        "Range: [0, 1]; L1 and L2 in percent",
        "mean of each photo's PSNR",
        "s/photo: ",
    ):
        assert wanted in text
    assert "1 photo is flat inside the hole" in text
    assert "identical to the truth (infinite PSNR, not in its mean): smooth 1" in text
    assert "near-duplicates" not in text and "could not be read" not in text


def test_what_is_written(evaluation, tmp_path):
    paths = write_report(evaluation, tmp_path / "new" / "out")
    assert [path.name for path in paths] == ["table.md", "sheet-01.png", "sheet-02.png", "results.json"]
    table = paths[0].read_text().splitlines()
    assert table[:-2] == tables(evaluation).splitlines()
    assert table[-1].startswith("<!-- ceret: SHA-256 of the above ")
    heights = [load_photo(path).height for path in paths[1:3]]
    assert heights[0] > 3 * heights[1] > 0  # eight photos, then two

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    results = json.loads(paths[-1].read_bytes(), parse_constant=refuse)
    assert results["photos"] == list(evaluation.names) and results["settings"]["seed"] == 5
    assert results["about"]["collection"]["photos"] == 60 and "numpy" in results["about"]["libraries"]
    for entry, result in zip(results["methods"], evaluation.results, strict=True):
        assert entry["name"] == result.method.name and entry["l2"] == result.summary.l2
        assert set(entry["photos"]) == set(PHOTO_METRICS) and {len(v) for v in entry["photos"].values()} == {10}
        assert entry["photos"]["sharpness"][9] is None and entry["flat"] == 1
    assert results["methods"][1]["photos"]["psnr"][9] is None and results["methods"][1]["identical"] == 1


def test_undefined_numbers_are_dashes(folder, opened, tmp_path):
    found = evaluate([folder / "9.png"], opened, tmp_path, EvaluationSettings(("oracle",)))
    row = markdown_table(found).splitlines()[2]
    assert re.search(r"\| – \|", row) and "nan" not in row
    assert json.loads(write_report(found, tmp_path)[-1].read_bytes())["methods"][0]["sharpness"] is None


def test_an_earlier_report_is_replaced(evaluation, folder, opened, tmp_path):
    write_report(evaluation, tmp_path)
    (tmp_path / "sheet-of-mine.png").write_bytes(b"")
    fewer = evaluate([folder], opened, tmp_path, EvaluationSettings(("smooth",), limit=3))
    write_report(fewer, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["results.json", "sheet-01.png", "sheet-of-mine.png", "table.md"]
    assert len(json.loads((tmp_path / "results.json").read_bytes())["photos"]) == 3


def test_a_folder_that_cannot_be_written(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        write_report(evaluation, tmp_path / "file")


@pytest.mark.parametrize("written", range(3))
def test_a_full_disk_leaves_nothing_new(evaluation, tmp_path, room_for_files, written):
    room_for_files(written)
    with pytest.raises(StorageError, match="no space left on device; free space"):
        write_report(evaluation, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_intervals_and_differences_are_those_of_the_photos(evaluation, tmp_path):
    results = json.loads(write_report(evaluation, tmp_path)[-1].read_bytes())
    table = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in tables(evaluation).splitlines() if "|" in line
    ]
    start = next(row for row, cells in enumerate(table) if cells[-1] == "L2 % above the best")
    assert table[start] == ["method", "L1 %", "L2 %", "PSNR dB", "SSIM", "sharpness", "L2 % above the best"]
    rows = {cells[0]: cells[1:] for cells in table[start + 2 :]}
    assert list(rows) == [method["name"] for method in results["methods"]]
    for method in results["methods"]:
        low, high = method["intervals"]["l2"]
        assert low < method["l2"] < high and rows[method["name"]][1] == f"{low:.2f} to {high:.2f}"
    fair = [method for method in results["methods"] if method["name"] != "oracle"]
    best = min(fair, key=lambda method: method["l2"])
    assert [name for name, cells in rows.items() if cells[-1] == "best"] == [best["name"]]
    means = {method["name"]: method["l2"] for method in results["methods"]}
    assert {one["method"] for one in results["differences"]} == set(means) - {best["name"]}
    for one in results["differences"]:
        assert one["other"] == best["name"] and one["l2"] == pytest.approx(means[one["method"]] - best["l2"])
        assert one["interval"][0] <= one["l2"] <= one["interval"][1]
        assert rows[one["method"]][-1].endswith("*") == (one["interval"][0] > 0 or one["interval"][1] < 0)


def test_irregular_holes_are_told_apart_by_their_area(query_folder, opened, tmp_path):
    settings = EvaluationSettings(("smooth", "oracle"), masks="irregular", keep_leaks=True)
    found = evaluate([query_folder], opened, tmp_path, settings)
    results = json.loads(write_report(found, tmp_path)[-1].read_bytes())
    areas, l2 = np.array(results["areas"]), np.array(results["methods"][0]["photos"]["l2"])
    table = tables(found).splitlines()
    start = next(row for row, line in enumerate(table) if line.startswith("| L2 % by the share that is missing"))
    heads = [cell.strip() for cell in table[start].split("|")[2:-1]]
    cells = [cell.strip() for cell in table[start + 2].split("|")[2:-1]]
    assert len(areas) == 12 and len(heads) > 2 and sum(int(head.split("(")[1][:-1]) for head in heads) == 12
    for head, cell in zip(heads, cells, strict=True):
        low, _, high, _ = head.split()
        inside = (areas > float(low)) & (areas <= float(high))
        assert cell == f"{l2[inside].mean():.2f}"
    assert "by the share" not in tables(evaluate([query_folder], opened, tmp_path, EvaluationSettings(("smooth",))))
