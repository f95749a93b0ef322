"""`ceret experiment`: what it prints and writes, and bad input."""

import json
import sys

import pytest


@pytest.fixture
def experiment(tmp_path, crop_folder, crop_index, monkeypatch):
    monkeypatch.setattr(
        "ce_retrieval.evaluation.experiments.run.write_figures", lambda out, evaluations: []
    )  # takes seconds
    path = tmp_path / "some.toml"
    text = f'photos = ["{crop_folder}"]\nindex = "{crop_index}"\nmethods = ["smooth", "oracle"]\nkeep_leaks = true\n'
    path.write_text(f'{text}masks = ["center", "block"]\nseeds = [0, 1]\nlimit = 3\n')
    return path


def test_it_prints_the_tables_and_writes_them(ceret, experiment, tmp_path, monkeypatch):
    out = tmp_path / "out"
    result = ceret("experiment", experiment, "--out", out)
    assert result.exit_code == 0, result.output
    assert "## center" in result.stdout and "## block" in result.stdout and "L2 % above the best" in result.stdout
    assert result.stdout.endswith(f"written: {out / 'experiment.md'}\nwritten: {out / 'report.html'}\n")
    assert "block-1: 3 photos measured" in result.stderr
    page = (out / "report.html").read_bytes()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = ceret("experiment", experiment, "--out", out, "--json")
    assert "figure6, figure5 and overview were not drawn: they need matplotlib (pip install" in result.stderr
    assert (out / "report.html").read_bytes() == page, "which needs none"
    told = json.loads(result.stdout)
    assert set(told["masks"]) == {"center", "block"} and told["masks"]["center"]["oracle"]["l2"] >= 0


def test_bad_input_is_one_line(ceret, experiment, tmp_path):
    experiment.write_text(experiment.read_text() + "colour = 3\n")
    result = ceret("experiment", experiment, "--out", tmp_path / "out")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and "unknown key 'colour'" in result.stderr
    assert ceret("experiment", experiment).exit_code == 2
