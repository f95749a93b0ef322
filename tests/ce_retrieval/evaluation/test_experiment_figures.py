"""Figures for publication: what stands in them, and that they are the same each time."""

import numpy as np
import pytest
from made_evaluation import made_evaluation

from ce_retrieval.errors import StorageError
from ce_retrieval.evaluation.experiments.figures import check_figures, write_figures
from ce_retrieval.evaluation.plots.method_sheet import chosen_methods, method_sheet, spread, wrapped
from ce_retrieval.evaluation.plots.overview import planes_of
from ce_retrieval.own_files import is_own

NAMES = [f"kind/{number}.png" for number in range(6)]


@pytest.mark.parametrize(
    ("name", "letters", "lines"),
    [
        ("encoder:fill+guided+blend", 15, ["encoder:fill", "+guided+blend"]),
        ("encoder:fill+guided+blend", 8, ["encoder:", "fill", "+guided", "+blend"]),
        ("hog+scenes+terms.content=0", 12, ["hog+scenes", "+terms", ".content=0"]),
        ("scenes", 20, ["scenes"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("", 4, [""]),
    ],
)
def test_names_are_wrapped_where_they_have_a_joint(name, letters, lines):
    assert wrapped(name, letters) == lines and "".join(wrapped(name, letters)) == name


def test_rows_are_taken_from_everywhere():
    assert spread([0, 3, 5, 8, 9, 12, 20], 3) == [0, 8, 20] and spread([4, 6], 5) == [4, 6] and spread([7], 1) == [7]


def test_planes_have_the_figures_and_their_intervals():
    evaluation = made_evaluation(NAMES, more=("perceptual",))
    perceptual, sharpness = planes_of(evaluation)
    assert (perceptual.truth, sharpness.truth) == ((0, 0), (0, 1))
    for point, result in zip(sharpness.points, evaluation.results, strict=True):
        assert point.method == result.method.name
        assert point.across.value == pytest.approx(result.summary.l2)
        assert point.up.value == pytest.approx(result.summary.sharpness)
        assert point.across.low <= point.across.value <= point.across.high
    evaluation.results[1].photos["sharpness"][:] = np.nan
    assert [point.method for point in planes_of(evaluation)[1].points] == ["scenes", "network", "oracle"]


def test_the_two_methods_of_figure_5():
    assert chosen_methods(made_evaluation(NAMES, ("patchmatch", "network", "scenes"))) == ["network", "patchmatch"]
    assert not chosen_methods(made_evaluation(NAMES, ("network", "scenes")))


def test_the_sheet_shows_the_pictures_themselves():
    pytest.importorskip("matplotlib")
    evaluation = made_evaluation(NAMES)
    figure = method_sheet(evaluation, ["network"], [2, 5], cell=32 / 300)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [text.get_text().replace("\n", "") for text in figure.texts] == ["photo", "network", "truth"]
    for row, first in ((2, 0), (5, 3)):
        pictures = evaluation.pictures(row)
        for found, made in zip(shown[first:], (pictures[0], pictures[3], pictures[-1]), strict=False):
            np.testing.assert_array_equal(found, made)


@pytest.mark.slow
def test_figures_are_written_and_no_file_of_others_is_replaced(tmp_path):
    pytest.importorskip("matplotlib")
    evaluation = made_evaluation(NAMES[:2], ("scenes", "patchmatch"))
    written = write_figures(tmp_path, {"center": (evaluation, evaluation)})
    names = [f"{figure}-center.{form}" for figure in ("figure6", "figure5", "overview") for form in ("png", "pdf")]
    assert [path.name for path in written] == names and all(is_own(path) for path in written)
    before = [path.read_bytes() for path in written]
    assert before[1].startswith(b"%PDF-") and b"%%EOF" in before[1][-1024:]
    write_figures(tmp_path, {"center": (evaluation, evaluation)})
    assert [path.read_bytes() for path in written] == before
    check_figures(tmp_path, ["center"])
    written[1].write_bytes(before[1].replace(b"%PDF-1", b"%PDF-2"))
    with pytest.raises(StorageError, match=r"figure6-center\.pdf is there already"):
        check_figures(tmp_path, ["center"])
