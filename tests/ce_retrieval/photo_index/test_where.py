"""Filters by the columns of an index, against the same conditions in plain Python; and everything that is no filter."""

import warnings

import numpy as np
import pytest

from ce_retrieval.errors import FilterError
from ce_retrieval.photo_index.where import COLUMNS, MAX_LENGTH, matching_rows

ROOTS = ["/photos/holiday", "/photos/work.tar"]
ROWS = [
    {
        "source": number % 2,
        "key": f"{'sea' if number % 3 else 'hills'}/{number:02d}.jpg",
        "label": "sea" if number % 3 else "hills",
        "caption": ["a dog", 'it\'s "here"', "größer 100%", ""][number % 4],
        "licence": ["CC0", "", "BY"][number % 3],
        "width": 100 * number,
        "height": 1000,
        "sha256": f"{number * 7919:064x}",
    }
    for number in range(25)
]


@pytest.fixture(scope="module")
def table():
    import pyarrow as pa

    return pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("licence == 'CC0'", lambda r: r["licence"] == "CC0"),
        ("licence == 'CC0' and width >= 1024", lambda r: r["licence"] == "CC0" and r["width"] >= 1024),
        ("licence != ''", lambda r: r["licence"] != ""),
        ("width > height", lambda r: r["width"] > r["height"]),
        ("500 < width <= 900", lambda r: 500 < r["width"] <= 900),
        ("1e3 == height and width != 300", lambda r: r["width"] != 300),
        ("width < 500.5", lambda r: r["width"] < 500.5),
        ("width > -1 and not width > 700", lambda r: r["width"] <= 700),
        ("not (width < 300 or licence == 'BY')", lambda r: not (r["width"] < 300 or r["licence"] == "BY")),
        (
            "width < 300 or licence == 'BY' and width > 900",
            lambda r: r["width"] < 300 or (r["licence"] == "BY" and r["width"] > 900),
        ),
        ("licence in ['CC0', 'BY']", lambda r: r["licence"] in ("CC0", "BY")),
        ("licence not in ('CC0',)", lambda r: r["licence"] != "CC0"),
        ("width in {100, 300.0, 301.5}", lambda r: r["width"] in (100, 300)),
        ("label in []", lambda r: False),
        ("'dog' in caption", lambda r: "dog" in r["caption"]),
        ("'dog' not in caption", lambda r: "dog" not in r["caption"]),
        ("contains(caption, 'größer')", lambda r: "größer" in r["caption"]),
        ("caption == 'it\\'s \"here\"'", lambda r: "here" in r["caption"]),
        ("'.' in caption", lambda r: False),
        ("'%' in caption", lambda r: "%" in r["caption"]),
        ("startswith(key, 'sea/')", lambda r: r["key"].startswith("sea/")),
        ("endswith(key, '1.jpg')", lambda r: r["key"].endswith("1.jpg")),
        ("source == '/photos/holiday'", lambda r: r["source"] == 0),
        ("'work' in source", lambda r: r["source"] == 1),
        (f"sha256 == '{7919 * 4:064x}'", lambda r: r["width"] == 400),
        ("key < 'sea'", lambda r: r["key"] < "sea"),
        ("\n label\n== 'sea' ", lambda r: r["label"] == "sea"),
        ("width >= 99999999999999999999999", lambda r: False),
        ("'\\d' in caption", lambda r: False),
        (" or ".join(f"width == {n}" for n in range(0, 900, 7)), lambda r: r["width"] < 900 and r["width"] % 7 == 0),
    ],
)
def test_a_filter_means_what_python_means(table, where, holds):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passed = matching_rows(table.column, ROOTS, where)
    assert passed.dtype == bool and passed.tolist() == [holds(row) for row in ROWS]


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_can_be_named(table, column):
    value = "1000" if column in ("width", "height") else "'x'"
    assert matching_rows(table.column, ROOTS, f"{column} == {value}").sum() == {"height": 25, "width": 1}.get(column, 0)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("license == 'CC0'", "names license, which is not a column: there are key, label, caption, licence"),
        ("license", "names license, which is not a column"),
        ("offset == 3", "names offset, which is not a column"),
        ("width = 3", "is not an expression"),
        ("width ==", "is not an expression"),
        ("width == 3 and", "is not an expression"),
        ("(width == 3", "is not an expression"),
        ("licence == 'CC0", "is not an expression"),
        ("width == 3; width", "is not an expression"),
        ("width\0 == 3", "is not an expression"),
        ("width == " + "9" * 5000, "is not an expression"),
        ("width == 'x'", "compares width, a number, with 'x', a text"),
        ("caption > 3", "compares caption, a text, with 3, a number"),
        ("'x' < width", "compares width, a number, with 'x', a text"),
        ("width == caption", "compares width, a number, with caption, a text"),
        ("width in ['a']", "compares width, a number, with ['a'], a list of texts"),
        ("width == [1]", "a list of numbers"),
        ("width in [1, 'a']", "mixes texts and numbers in [1, 'a']"),
        ("width in [height]", "has height, which filters do not support"),
        ("'x' in width", "expected COLUMN in [.., ..], or 'text' in a column"),
        ("caption in 'a dog'", "has `in 'a dog'`"),
        ("3 in caption", "has `in caption`"),
        ("caption in label", "has `in label`"),
        ("1 == 1", "has 1 == 1, which names no column"),
        ("1 < 2 < width", "names no column"),
        ("width is 3", "has `is` in width is 3: write == or !="),
        ("width", "has width alone, which is not a condition"),
        ("width and height > 3", "has width alone"),
        ("'a'", "alone, which is not a condition"),
        ("True", "has True, which filters do not support"),
        ("width == True", "has True, which filters do not support"),
        ("caption == None", "has None, which filters do not support"),
        ("caption == b'x'", "has b'x', which filters do not support"),
        ("width == 3j", "has 3j, which filters do not support"),
        ("caption == -'x'", "which filters do not support"),
        ("width * 2 > 3", "has width * 2, which filters do not support"),
        ("caption.size > 3", "has caption.size, which filters do not support"),
        ("caption.startswith('a')", "calls caption.startswith: there are contains, endswith, startswith"),
        ("__import__('os').system('true')", "calls __import__('os').system"),
        ("__import__('os')", "calls __import__: there are contains"),
        ("startswith(key)", "expected startswith(COLUMN, 'text')"),
        ("startswith(width, 'x')", "expected startswith(COLUMN, 'text') with one of key, label"),
        ("startswith('x', key)", "expected startswith(COLUMN, 'text')"),
        ("startswith(key, prefix='x')", "expected startswith(COLUMN, 'text')"),
        ("startswith(*key)", "which filters do not support"),
        ("[w for w in key] == 3", "which filters do not support"),
        ("key[0] == 'a'", "has key[0], which filters do not support"),
        ("(lambda: 1) == 1", "which filters do not support"),
        ("(x := 3) == 3", "which filters do not support"),
        ("f'{key}' == 'x'", "which filters do not support"),
        ("width == 3 if key else height", "which filters do not support"),
        ("caption == '\\ud800'", "not valid UTF-8"),
        ("width == 3" + " or width == 3" * MAX_LENGTH, "characters long: expected at most 20000"),
        ("(" * 5000 + "width == 3" + ")" * 5000, "is not an expression: too many"),
        ("not " * 4900 + "width == 3", "`where` 'not not not"),
        ("not " * 60 + "width == 3", "nests deeper than 50"),
        ("width == " + "-" * 9000 + "3", "`where` 'width == ---"),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_filter_is_one_line(table, where, message):
    with pytest.raises(FilterError) as caught:
        matching_rows(table.column, ROOTS, where)
    text = str(caught.value)
    assert message in text and "\n" not in text and len(text) < 400, text


def test_no_rows(table):
    assert matching_rows(table.slice(0, 0).column, ROOTS, "width > 3").shape == (0,)
    assert matching_rows(table.slice(0, 0).column, ROOTS, "'x' in source").dtype == np.bool_


def test_a_root_that_is_not_valid_utf_8(table):
    odd = "/photos/caf\udce9"
    assert matching_rows(table.column, [odd, odd], "contains(source, 'caf')").all()


def test_a_table_in_pieces(table):
    import pyarrow as pa

    pieces = pa.concat_tables([table.slice(0, 7), table.slice(7)])
    for where in ("'work' in source and width > 300", "licence in ['BY']"):
        assert (matching_rows(pieces.column, ROOTS, where) == matching_rows(table.column, ROOTS, where)).all()
