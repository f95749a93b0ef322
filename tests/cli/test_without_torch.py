"""One small photo is answered without torch, whose import would take most of the time, and as with torch."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, build_index

LEARNED = ("encoder:fill", "encoder:cells")


@pytest.fixture(scope="module", params=LEARNED)
def learned_index(request, crop_folder, tmp_path_factory, shipped_weights, one_thread_torch):
    """The crops by a learned feature, with kind features."""
    path = tmp_path_factory.mktemp("learned") / "learned.ceret"
    build_index([crop_folder], path, IndexSettings(features=request.param, kind="kind", workers=1))
    return path


def without_torch(*arguments):
    """Run `ceret ARGUMENTS...` in a new process; fail where it imports torch."""
    script = (
        "import sys\n"
        "from cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*sorted({'torch'} & set(sys.modules)), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "torch" not in run.stderr.split()
    return run.stdout


def test_a_query_is_answered_as_with_torch(ceret, photo, mask, learned_index, monkeypatch):
    command = ("query", photo, "--mask", mask, "--index", learned_index, "-k", 5, "--json")
    found = json.loads(without_torch(*command))["neighbors"]
    monkeypatch.setattr("ce_retrieval.models.shipped.FEW", 0)
    by_torch = json.loads(ceret(*command).stdout)["neighbors"]
    assert [one["name"] for one in found] == [one["name"] for one in by_torch]
    distances = [[one["distance"] for one in each] for each in (found, by_torch)]
    np.testing.assert_allclose(*distances, rtol=0.02)


@pytest.mark.parametrize("method", ["scenes", "auto"])
def test_a_photo_is_completed(photo, mask, learned_index, tmp_path, method):
    hole = np.asarray(Image.open(mask)) > 0
    given = np.where(hole[..., None], np.uint8(0), np.asarray(Image.open(photo)))
    Image.fromarray(given).save(photo)
    without_torch(
        *("complete", photo, "--mask", mask, "--index", learned_index, "--out", tmp_path / "out", "--method", method)
    )
    filled = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
    assert filled.shape == given.shape and (filled[hole] > 0).any(axis=1).mean() > 0.9
