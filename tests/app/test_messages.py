"""What the page says: errors and notes in plain words, and nothing of where photos lie where that is hidden."""

from types import SimpleNamespace

import numpy as np
import pytest

from ce_retrieval.app.filling import _notes
from ce_retrieval.app.messages import CONTROLS, HIDDEN, PageError, told
from ce_retrieval.app.orders import Order, command_of, differing
from ce_retrieval.app.shelf import Made
from ce_retrieval.app.sources import described, hidden_record, outlined
from ce_retrieval.app.status import line, status
from ce_retrieval.app.words import STEPS_OF
from ce_retrieval.app.work import State
from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.errors import CeretError, CorruptIndexError, FilterError, PhotoError, SettingsError


def candidate(**changes):
    about = {
        "rank": 1, "photo": "/photos/a<b>.jpg", "sha256": "ab", "label": "", "caption": "", "licence": "", "context_rank": 3,
        "context_distance": 0.5, "scores": {"seam": 0.25}, "total": -1.5, "share": 1.0, "offset": (10.0, 20.0),
        "scale": (2.0, 2.0),
    }  # fmt: skip
    return Candidate(**{**about, **changes})


@pytest.mark.parametrize(
    ("error", "shown", "hidden"),
    [
        (PageError("As it is."), "As it is.", "As it is."),
        (
            SettingsError("`seam` is 99: expected 0 to 40"),
            "“Seam” is 99: expected 0 to 40.",
            "“Seam” is 99: expected 0 to 40.",
        ),
        (PhotoError("/photos/my trip/a.jpg has changed"), "“a.jpg” has changed.", HIDDEN),
        (
            PhotoError("3 scenes are lost, the first: /my trip/a.jpg"),
            "3 scenes are lost, the first: “a.jpg”.",
            "3 scenes are lost.",
        ),
        (
            FilterError("none of 60 photos of /a b/b.ceret passes"),
            "None of 60 photos of “b.ceret” passes.",
            "None of 60 photos.",
        ),
        (
            PhotoError("filled from 2 photos: /a/St. Marks.JPG and /a/b.tar::c/d e.png (and 1 more)"),
            "Filled from 2 photos: “St. Marks.JPG” and “d e.png” (and 1 more).",
            "Filled from 2 photos.",
        ),
        (
            PhotoError("lost: /a/b.jpg.png: no file '/a/b.jpg.png'; run `ceret index /a/c --out d.ceret`"),
            "Lost: “b.jpg.png”: no file “b.jpg.png”; run `ceret index c --out d.ceret`.",
            HIDDEN,
        ),
        (PhotoError("in the index data/p.ceret 3 photos"), "In the index “p.ceret” 3 photos.", "In the index."),
        (
            PhotoError(
                "2 lost, the first: /a/b.jpg of /c d.ceret cannot be read any more: put it back, or bring the index up to date "
                "with `ceret add '/c d.ceret'`; if /a has moved, run `ceret relocate '/c d.ceret' /a NEW`"
            ),
            "2 lost, the first: “b.jpg” cannot be read any more.",
            HIDDEN,
        ),
        (
            PhotoError(
                "/a/b.jpg has changed since it was indexed: restore it, or bring the index up to date with `ceret add /c.ceret`"
            ),
            "“b.jpg” has changed since it was indexed.",
            HIDDEN,
        ),
        (PhotoError("and/or 1/2"), "And/or 1/2.", "And/or 1/2."),
        (
            CorruptIndexError("/x.ceret/segments/1 is altered"),
            "A file of the collection is damaged, so that it cannot be searched. “1” is altered.",
            f"A file of the collection is damaged, so that it cannot be searched. {HIDDEN}",
        ),
    ],
)
def test_errors_in_words(error, shown, hidden):
    assert told(error, hide=False) == shown
    assert told(error, hide=True) == hidden


def test_a_collection_that_holds_nothing_alike_is_said():
    def noted(*kinds, method="scenes"):
        scenes = [candidate(scores={"kind": 1 - kind}) for kind in kinds]
        result = SimpleNamespace(candidates=scenes, method=method, notes=("a note",), loss="", refusal="")
        photo = SimpleNamespace(encoding=SimpleNamespace(notes=["no EXIF"]))
        return _notes(Made(result, photo, ["no kinds"]))

    assert noted(0.2, 0.41)[0] == "the collection holds nothing alike (similarity in kind 0.41 at best)"
    assert noted(0.2, 0.7) == ["a note", "no EXIF", "no kinds"] == noted() == noted(0.1, method="auto")


def test_status_shows_the_step_and_how_many_wait():
    seen = set()
    text = status(State(0, "place", 16, 60, 3.2), STEPS_OF["scenes"], seen)
    assert (
        "<span class='now'>Place</span>" in text
        and "Placing scenes: 16 of 60" in text
        and "value='16' max='60'" in text
    )
    assert "<span class='done'>Place</span>" in status(State(0, "blend", 0, 1, 4.0), STEPS_OF["scenes"], seen)
    assert "3 others are before you" in status(State(3, "", 0, 1, 0.0), (), seen)
    assert "one other is before you" in status(State(1, "", 0, 1, 0.0), (), seen)
    assert line("<b>", bad=True) == "<div class='status bad' role='alert'><p>&lt;b&gt;</p></div>"


def test_what_is_said_of_a_candidate_is_escaped_and_can_be_hidden():
    text = described(candidate(licence="CC0", caption="<script>"), hide=False)
    assert "a&lt;b&gt;.jpg" in text and "CC0" in text and "&lt;script&gt;" in text and "visibility of the seam" in text
    assert "/photos" not in text and "a&lt;b" not in described(candidate(), hide=True)
    record = {
        "candidates": [{"photo": "/a", "sha256": "b", "rank": 1}],
        "dropped": ["/c: lost"],
        "index": {"path": "/i", "size": 64},
    }
    record |= {
        "network": {"path": "/w", "size": 9},
        "others": None,
        "parts": [{"scene": {"photo": "/a", "sha256": "b"}, "more": []}],
    }
    shown = hidden_record(record)
    assert "/" not in str(shown) and shown["candidates"] == [{"rank": 1}] and shown["dropped"] == ["1 scenes"]


def test_the_part_that_is_used_is_outlined():
    hole = np.zeros((50, 60), bool)
    hole[20:30, 25:35] = True
    scene = np.full((100, 100, 3), 128, np.uint8)
    # A pixel of the scene is two of the photo, whose upper left corner lies 10 rows and 20 columns within it.
    drawn = (outlined(scene, candidate(), hole, np.array([2.0, 2.0]), 100) != 128).any(axis=2)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert (
        abs(rows[0] - 15) <= 2 and abs(rows[-1] - 25) <= 2 and abs(columns[0] - 15) <= 2 and abs(columns[-1] - 25) <= 2
    )
    mapped = candidate(offset=None, scale=None, homography=[[0.5, 0, -10], [0, 0.5, -5], [0, 0, 1]])
    np.testing.assert_array_equal(
        outlined(scene, mapped, hole, np.array([2.0, 2.0]), 100),
        outlined(scene, candidate(), hole, np.array([2.0, 2.0]), 100),
    )


def test_the_command_says_what_differs_from_the_defaults():
    chosen = differing(
        "scenes",
        {
            "seam": 16.0,
            "trust": 0.0,
            "where": "",
            "mixed": True,
            "start": "smooth",
            "aligned": None,
            "terms": {"gist": 0.5},
        },
        has_index=True,
    )
    assert chosen == {"trust": 0.0, "mixed": True, "terms": {"gist": 0.5}}
    order = Order(SimpleNamespace(name="my beach.jpg", stem="my beach"), None, "", "scenes", "photos", chosen)
    assert command_of(order, "/p/photos.ceret") == (
        "ceret complete 'my beach.jpg' --mask 'my beach_mask.png' --index /p/photos.ceret --method scenes --trust 0 --mixed "
        "--term gist=0.5 --out filled"
    )
    assert differing("auto", {"seam": 4.0, "weights": "w"}, has_index=False) == {"weights": "w"}
    with pytest.raises(SettingsError, match="is unknown"):
        differing("magic", {}, has_index=True)


def test_controls_are_named_as_the_page_names_them():
    from pathlib import Path

    import ce_retrieval.app as app

    text = "".join(path.read_text() for path in Path(app.__file__).parent.glob("*_*.py"))
    for name in CONTROLS.values():
        if name.startswith("“"):
            assert f'"{name.strip("“”")}"' in text or name == "“Focus”", name


def test_a_command_can_be_copied():
    """No printer's quotes stand in it."""
    error = CeretError("has no kind features: add them with `ceret add '/some where/my crops.ceret' --kind kind`")
    assert told(error, hide=False).endswith("add them with `ceret add 'my crops.ceret' --kind kind`.")
    error = CeretError("/a/b.jpg is gone: run `ceret add /c/d.ceret`")
    assert told(error, hide=False) == "“b.jpg” is gone: run `ceret add d.ceret`."
