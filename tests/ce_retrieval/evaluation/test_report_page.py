"""The report of an experiment: what stands in it, and that no name of a photo is more than text."""

import base64
import hashlib
import io
import json
import re
import tomllib
from html.parser import HTMLParser

import numpy as np
import pytest
from made_evaluation import METHODS, made_evaluation
from PIL import Image

from ce_retrieval.evaluation.experiments.experiment import Experiment
from ce_retrieval.evaluation.experiments.growth import growth_of
from ce_retrieval.evaluation.page.charts import Axis, growth_chart, ticks
from ce_retrieval.evaluation.page.gallery import CASES, Album, gallery
from ce_retrieval.evaluation.page.markup import breaking, element, escaped, names_only
from ce_retrieval.evaluation.page.page import page
from ce_retrieval.evaluation.page.told import as_toml
from ce_retrieval.evaluation.settings import EvaluationSettings

BAD = [
    "<script>alert(1)</script>.png",
    "a\"b'c&d.png",
    "two\nlines.png",
    "not\udcffutf.png",
    "</script><img src=x onerror=alert(2)>",
]
NAMES = [*BAD, *(f"kind/{number}.png" for number in range(8))]


class Parsed(HTMLParser):
    """Tags with their attributes, and the text in each kind of them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(evaluation, told="seeds = [0]\n", photos=("/home/somebody/held-out",)):
    return page(told, photos, {"center": evaluation}, {"center": evaluation}, {}, [0])


@pytest.fixture(scope="module")
def evaluation():
    return made_evaluation(NAMES, more=("perceptual", "<b>own</b>"))


@pytest.fixture(scope="module")
def text(evaluation):
    return page_of(evaluation, told='photos = ["<b>"]\n', photos=["/home/somebody/<i>held-out"])


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="album">(.*?)</script>', text, re.DOTALL)[1])


def test_names_are_text_and_nothing_else(text):
    parsed = Parsed(text)
    assert (
        len(parsed.of("script")) == 2
        and not parsed.of("i")
        and {"src"} >= set().union(*parsed.of("script")) - {"type", "id"}
    )
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert ("h1", "<i>held-out") in parsed.texts and ("code", 'photos = ["<b>"]') in parsed.texts
    shown = [photo["name"] for photo in data_of(text)["galleries"][0]["photos"]]
    assert shown == [*BAD[:2], "two\\nlines.png", "not\\xffutf.png", BAD[4], *NAMES[5:]]
    assert (
        escaped("a\x00\u202eb") == "a\\x00\\u202eb"
        and element("td", title='"><b>') == '<td title="&quot;&gt;&lt;b&gt;"></td>'
    )
    assert breaking("encoder:fill+rim") == "encoder:<wbr>fill<wbr>+rim" and breaking("<i>") == "&lt;i&gt;"
    text.encode()  # no surrogate is left


def test_nothing_is_fetched_and_only_the_own_script_runs(text):
    policy = next(one["content"] for one in Parsed(text).of("meta") if one.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    for name in ("script", "style"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(?:src|href)=\"(?!#|data:)|https?://|url\(|@import|/home/somebody", text)


def test_the_table_has_intervals_and_the_best_in_bold(text, evaluation):
    parsed = Parsed(text)
    heads = [data for tag, data in parsed.texts if tag == "button"]
    assert heads[:7] == ["method", "L1 %", "L2 %", "PSNR dB", "PSNR of mean L2", "SSIM", "sharpness"]
    assert "<b>own</b>" in heads and all(one["title"] for one in parsed.of("button") if "data-first" in one)
    bold = [data for tag, data in parsed.texts if tag == "b"]
    assert bold[1] == f"{evaluation.results[0].summary.l2:.2f}", "not that of the oracle, which is 0"
    assert f"≤{evaluation.results[1].cost.seconds:.4f}" in text and parsed.of("abbr"), "busy, and seen in training"
    assert "broken.jpg: broken.jpg is not an image" in text and "the index" not in heads
    assert text.count("<tr>") == 2 * (1 + len(METHODS)) - 1, "figures, and differences to the best"


def test_pictures_are_embedded_once_and_are_those_of_the_evaluation(text, evaluation):
    data = data_of(text)
    found = data["galleries"][0]
    assert len(set(data["pictures"])) == len(data["pictures"]) and len(found["photos"]) == len(NAMES)
    assert found["drawn"] == evaluation.drawn
    for row in (0, 7):
        for number, made in zip(found["photos"][row]["pictures"], evaluation.pictures(row), strict=True):
            address = data["pictures"][number]
            assert address.startswith("data:image/webp;base64,")
            seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
            assert seen.shape == made.shape and np.abs(seen.astype(int) - made).mean() < 12
    heads = [one["name"] for one in found["measures"]]
    figures = np.array([photo["figures"] for photo in found["photos"]], float)[:, 2, heads.index("l2")]
    np.testing.assert_allclose(figures, evaluation.results[2].photos["l2"], atol=1e-5)
    worst = next(one for one in found["cases"] if (one["of"], one["by"], one["which"]) == (2, "l2", "worst"))
    assert worst["rows"] == np.argsort(-figures, kind="stable")[:CASES].tolist()


def test_what_does_not_fit_is_left_out_and_no_order_has_gaps(evaluation):
    whole = Album()
    gallery(evaluation, "center", whole, 10**9)
    album = Album()
    found = gallery(evaluation, "center", album, whole.size * 2 // 3)
    assert album.size <= whole.size * 2 // 3 and 4 <= len(found["photos"]) < len(NAMES) and len(found["drawn"]) == 4
    names = [photo["name"] for photo in found["photos"]]
    for case in found["cases"]:
        measure = evaluation.results[case["of"]].photos[case["by"]]
        bad = {"ssim": -measure, "sharpness": np.abs(measure - 1)}.get(case["by"], measure)
        order = np.argsort(bad, kind="stable").tolist()
        order = order[::-1] if case["which"] == "worst" else order
        shown = [NAMES.index(name) if name in NAMES else -1 for name in (names[row] for row in case["rows"])]
        assert all(row in (-1, expected) for row, expected in zip(shown, order, strict=False))
    none = gallery(evaluation, "center", Album(), 10)
    assert not none["photos"] and not none["cases"] and not none["drawn"]


def test_the_same_bytes_each_time_and_few_things_are_enough(evaluation, text):
    assert page_of(evaluation, told='photos = ["<b>"]\n', photos=["/home/somebody/<i>held-out"]) == text
    single = page_of(made_evaluation(["one.png"], ("oracle",), masks="irregular"))
    assert "Which are better" not in single and "by the share that is missing" in single and "one.png" in single


def test_growth_has_a_line_a_method():
    growth = growth_of({size: [made_evaluation(NAMES, seed=size)] for size in (10, 100, 1000)}, 0)
    chart = growth_chart(growth, growth.measures[0], "center")
    parsed = Parsed(chart)
    assert len(parsed.of("polyline")) == len(METHODS) and len(parsed.of("circle")) == 3 + len(METHODS) - 1
    assert "oracle, 100 photos:" in chart and "scenes, 1,000 photos:" in chart
    assert len(parsed.of("polygon")) == 1, "oracle alone fills from the collection"


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        (0, 5.1, ["0", "1", "2", "3", "4", "5"]),
        (0.31, 0.42, ["0.32", "0.34", "0.36", "0.38", "0.40", "0.42"]),
        (-1, 1, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
    ],
)
def test_ticks_are_round(start, end, texts):
    assert [text for _, text in ticks(Axis(start, end, 0, 100))] == texts


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("by /home/a b/net.onnx, s/photo", "by net.onnx, s/photo"),
        ("/tmp/x/y.jpg is not an image", "y.jpg is not an image"),
        ("kind/3.png: 1/2", "kind/3.png: 1/2"),
    ],
)
def test_paths_are_cut_to_names(given, shown):
    assert names_only(given, ["/home/a b/net.onnx"]) == shown


def test_the_experiment_is_told_as_toml():
    settings = EvaluationSettings(
        ("scenes", 'network:a"b'), seed=3, holes_seed=3, limit=5, keep_leaks=True, perceptual="onnx:/x/net.onnx:a"
    )
    experiment = Experiment(
        ("/home/me/held-out",), "/home/me/c.ceret", ("center", "/m/masks"), (3, 4), (10, 20), settings
    )
    assert tomllib.loads(as_toml(experiment)) == {
        "photos": ["held-out"],
        "index": "c.ceret",
        "methods": ["scenes", 'network:a"b'],
        "masks": ["center", "masks"],
        "seeds": [3, 4],
        "collection": [10, 20],
        "limit": 5,
        "keep_leaks": True,
        "perceptual": "onnx:net.onnx:a",
    }
