"""`ceret contexts`: what it prints and writes, and bad input."""

import json

import pytest


@pytest.fixture
def words(crop_folder, crop_index, tmp_path):
    base = ["contexts", crop_folder, "--index", crop_index, "--out", tmp_path / "out"]
    return [*base, "--limit", 3, "--keep-leaks", "--altered", 3, "--rows", 2, "-k", 2]


def test_it_prints_the_tables_and_writes_the_picture(ceret, words, tmp_path):
    result = ceret(*words, "--holes", "0.5", "--masks", "block", "--blind")
    assert result.exit_code == 0, result.output
    assert "| square 0.5 | thumbnail:16 | hole-aware |" in result.stdout and "| block | " in result.stdout
    assert result.stdout.splitlines()[-1] == f"written: {tmp_path}/out/contexts.json"
    assert result.stderr.count("near-duplicate: ") == 3
    told = json.loads(ceret(*words, "--holes", "0.5", "--json").stdout)
    assert [one["search"] for one in told["results"]] == ["hole-aware"] and len(told["picture"]["rows"]) == 2
    assert told["written"][1] == f"{tmp_path}/out/figure8.png" and "sha256" not in told


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--holes", "0.5,big"], "'big' is not a number from 0.05 to 0.95"),
        (["--features", "sift"], "sift"),
        (["--masks", "middle"], "--masks 'middle' are unknown"),
        (["--shapes", "."], "--shapes belong to --masks region"),
        (["--photo", "nobody"], "'nobody' is not among the photos that were read"),
        (["--index", "none.ceret"], "no index at none.ceret"),
    ],
)
def test_bad_input_is_one_line(ceret, one_line_error, words, options, says):
    assert says in one_line_error(ceret(*words, *options))
