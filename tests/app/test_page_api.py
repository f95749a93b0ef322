"""The calls for programs, as docs/app.md shows them."""

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from page_server import GRADIOS_OWN, fetched, page_of
from PIL import Image

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.settings import SceneSettings

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = GRADIOS_OWN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "app.md"
META = {"_type": "gradio.FileData"}


def example(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture(scope="module")
def page(crop_index):
    with page_of(crop_index) as tab:
        yield tab


@pytest.fixture(scope="module")
def address(page):
    return str(page.client.base_url).rstrip("/")


@pytest.fixture
def here(tmp_path, bundled_photos, monkeypatch):
    """The working directory, with a photo and a mask."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])).save("beach.png")
    hole = np.zeros((80, 100), np.uint8)
    hole[20:60, 30:70] = 255
    Image.fromarray(hole).save("hole.png")
    return tmp_path


@pytest.fixture
def sent(page, here):
    """A photo and its mask as a call names them."""
    return [{"path": page.send((here / name).read_bytes(), name), "meta": META} for name in ("beach.png", "hole.png")]


def check(picture, record, here):
    before, after = np.asarray(Image.open(here / "beach.png")), np.asarray(Image.open(picture))
    hole = np.asarray(Image.open(here / "hole.png")) > 0
    assert after.shape == before.shape and (after[hole] != before[hole]).any()
    assert record["method"] == "scenes" and record["settings"]["top"] == 5 and 0 < len(record["candidates"]) <= 5


def test_the_example_in_python(address, here, capsys):
    names = {}
    exec(example("python").replace("http://127.0.0.1:7860", address), names)
    check(names["picture"], json.loads(Path(names["record"]).read_text()), here)
    printed = capsys.readouterr().out
    assert "['crops']" in printed and len(re.findall(r"^[1-5] \d\.\d+ /", printed, re.MULTILINE)) == 5


def test_the_example_by_curl(address, here):
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    script = example("bash").replace("http://127.0.0.1:7860", address)
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    check("filled.png", json.loads((here / "filled.json").read_text()), here)


def test_methods_tell_what_can_be_set(page):
    told = page.call("methods")[0]
    assert told["collections"] == ["crops"] and told["methods"].keys() == METHODS.keys()
    seam = told["methods"]["scenes"]["seam"]
    assert seam == {"default": SceneSettings.seam, "expected": "a number from 0 to 40"}
    assert not any("weights" in settings for settings in told["methods"].values())


def test_without_a_hole_the_whole_photo_is_compared(page, sent):
    found = page.call("neighbors", sent[0], None, "", None, "index", 3, "height == 90")[0]
    assert [one["rank"] for one in found] == [1, 2, 3] and {one["height"] for one in found} == {90}


def test_a_painting_is_a_hole_too(page, sent):
    painting = json.dumps({"size": [100, 80], "actions": [{"kind": "rectangle", "box": [30, 20, 70, 60]}]})
    picture, record = page.call(
        "complete", sent[0], None, painting, "crops", "retrieval", {"rerank": "rim", "k": 3}, None
    )
    record = json.loads(fetched(page, record))
    assert record["hole"]["box"] == [20, 30, 60, 70] and len(record["candidates"]) == 3 and picture["orig_name"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({0: None}, "Choose a photo first"),
        ({1: None}, "Nothing is painted"),
        ({3: "others"}, "not in the list of choices: ['crops']"),
        ({4: "magic"}, "not in the list of choices: ['auto'"),
        ({5: {"colour": 1}}, "has no setting 'colour'"),
        ({5: {"seam": 99}}, "“Seam” is 99: expected a number from 0 to 40"),
        ({5: {"aligned": 1001}}, "More than 1000 is not allowed for “Scenes to place” here"),
        ({5: {"weights": "/etc/passwd"}}, "weights cannot be set here"),
        ({4: "network", 5: {"seam": 3}}, "has no setting 'seam'"),
        ({5: ["seam"]}, "no JSON object"),
        ({2: "{"}, "painting"),
        ({6: 1}, "The method scenes uses no other photos of the place"),
        ({6: 41}, "More than 40 other photos"),
    ],
)
def test_faults_are_answered_by_a_line(page, sent, here, changes, said):
    data = [*sent, "", None, "scenes", {"rerank": "rim", "aligned": 8}, None]
    for place, value in changes.items():
        data[place] = value
    if data[6]:  # so many other photos
        data[6] *= [{"path": page.send((here / "beach.png").read_bytes(), "shot.png"), "meta": META}]
    with pytest.raises(AssertionError) as raised:
        page.call("complete", *data)
    assert said in str(raised.value) and "Traceback" not in str(raised.value) and "\n" not in str(raised.value).strip()


def test_a_password(crop_index, here):
    with page_of(crop_index, auth=("ann", "open sesame")) as tab:
        for path in ("/config", "/gradio_api/info", "/gradio_api/file=/etc/passwd"):
            assert tab.client.get(path).status_code in (401, 403)
        assert tab.client.post("/gradio_api/upload", files={"files": ("a.png", b"x")}).status_code == 401
        assert tab.client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
        tab.client.post("/login", data={"username": "ann", "password": "open sesame"}).raise_for_status()
        assert tab.call("methods")[0]["collections"] == ["crops"]


def test_a_report_is_shown(crop_index, tmp_path, capsys):
    from ce_retrieval.errors import SettingsError
    from ce_retrieval.photos.files import save_result

    with pytest.raises(SettingsError, match=r"`report` .* holds no results"), page_of(crop_index, report=tmp_path):
        pass
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "table.md").write_text("| method | L1 |\n|---|---|\n| scenes | 12 |\n\n<!-- ceret: SHA-256 -->\n")
    save_result(tmp_path / "sheet-01.png", np.zeros((60, 80, 3), np.uint8))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "sheet-02.png")
    with page_of(crop_index, report=tmp_path) as tab:
        table, sheets = tab.call("report")
        assert "| scenes | 12 |" in table and "SHA-256" not in table
        assert [one["image"]["orig_name"] for one in sheets] == ["sheet-01.png"], "the other one is not ceret's"
        picture = tab.client.get(sheets[0]["image"]["url"])
        assert Image.open(io.BytesIO(picture.content)).size == (80, 60)
