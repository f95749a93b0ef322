import numpy as np
import pytest
from PIL import ImageFont

from ce_retrieval.figures import (
    CELL,
    COLUMNS,
    FRAME,
    GAP,
    OUTLINE,
    contact_sheet,
    context_sheet,
    neighbour_sheet,
    shorten,
    show_hole,
)

RED, BLUE = (200, 10, 10), (10, 10, 200)


def flat(height, width, color):
    return np.full((height, width, 3), color, np.uint8)


def extent(sheet, color):
    """Rows and columns (first, last) that a flat colour takes."""
    seen = (sheet == color).all(-1)
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return rows[0], rows[-1], columns[0], columns[-1]


def ink(sheet, background=255):
    return (sheet != background).any(-1)


def test_show_hole_paints_the_hole_alone(bundled_photos):
    photo = bundled_photos[0][:200, :300]
    hole = np.zeros((200, 300), bool)
    hole[50:100, 60:130] = True
    before = photo.copy()
    shown = show_hole(photo, hole)
    assert (photo == before).all()
    assert (shown[~hole] == photo[~hole]).all()
    width = 2  # 200 pixels: two
    assert (shown[50 + width : 100 - width, 60 + width : 130 - width] == 255).all()
    for side in (shown[50:52, 60:130], shown[98:100, 60:130], shown[50:100, 60:62], shown[50:100, 128:130]):
        assert (side == OUTLINE).all()


def test_a_hole_at_the_border_is_closed_by_its_outline():
    hole = np.zeros((40, 40), bool)
    hole[30:] = True
    shown = show_hole(flat(40, 40, BLUE), hole)
    assert (shown[30] == OUTLINE).all() and (shown[-1] == OUTLINE).all() and (shown[31:39, 1:-1] == 255).all()


def test_show_hole_refuses_another_shape():
    with pytest.raises(ValueError, match="expected"):
        show_hole(flat(4, 5, RED), np.zeros((5, 4), bool))


def test_sheet_without_labels_is_a_plain_grid():
    sheet = contact_sheet([[flat(50, 50, RED), flat(9, 9, BLUE)], [flat(20, 20, BLUE)]], cell=40)
    assert sheet.shape == (8 + 2 * 48, 8 + 2 * 48, 3) and sheet.dtype == np.uint8 and sheet.flags.writeable
    assert extent(sheet, RED) == (8, 47, 8, 47)
    assert (sheet[8:48, 56:96] == BLUE).all() and (sheet[56:96, 8:48] == BLUE).all()
    assert (sheet[56:, 48:] == 255).all()  # the short row


@pytest.mark.parametrize(("height", "width"), [(100, 50), (50, 100), (481, 321), (3, 2), (1, 500)])
def test_aspect_is_kept_and_the_picture_centred(height, width):
    sheet = contact_sheet([[flat(height, width, RED)]], cell=60)
    top, bottom, left, right = extent(sheet, RED)
    scale = 60 / max(height, width)
    assert bottom - top + 1 == max(1, round(height * scale)) and right - left + 1 == max(1, round(width * scale))
    assert abs((top - 8) - (67 - bottom)) <= 1 and abs((left - 8) - (67 - right)) <= 1
    assert max(bottom - top, right - left) == 59


def test_labels_stand_beside_their_row_and_above_their_column():
    rows = [[flat(30, 30, RED), flat(30, 30, BLUE)], [flat(30, 30, RED), flat(30, 30, BLUE)]]
    plain = contact_sheet(rows, cell=80)
    sheet = contact_sheet(rows, row_labels=["a", "sea/1.jpg"], column_labels=["query", "truth"], cell=80)
    extra_rows, extra_columns = sheet.shape[0] - plain.shape[0], sheet.shape[1] - plain.shape[1]
    assert extra_rows > 0 and extra_columns > 0
    assert (sheet[extra_rows + 8 :, extra_columns + 8 :] == plain[8:, 8:]).all()  # labels never touch the pictures
    left = ink(sheet)[:, :extra_columns]
    assert left[extra_rows : extra_rows + 88].any() and left[extra_rows + 88 :].any()
    above = ink(sheet)[:extra_rows, extra_columns:]
    assert above[:, :88].any() and above[:, 88:].any()
    assert not left[:, 0].any() and not above[0].any()  # nothing is cut at the sheet's edge
    only_first = contact_sheet(rows, column_labels=["query", ""], cell=80)
    assert not ink(only_first)[: only_first.shape[0] - plain.shape[0], 92:].any()


def test_long_labels_stay_in_their_place():
    word = "W" * 300
    pictures = [[flat(30, 30, RED), flat(30, 30, RED)]]
    sheet = contact_sheet(pictures, row_labels=[word], column_labels=[word, ""], cell=100)
    first = extent(sheet, RED)[2]
    assert first <= 120
    above = ink(sheet)[: extent(sheet, RED)[0]]
    columns = np.flatnonzero(above.any(0))
    assert columns[0] >= first and columns[-1] < first + 100
    beside = np.flatnonzero(ink(sheet)[:, :first].any(0))
    assert beside[0] >= 7 and beside[-1] < first - 4


@pytest.mark.parametrize("width", [0, 5, 9, 20, 50, 51.5, 100, 1000])
def test_shorten_keeps_the_longest_start_that_fits(width):
    font = ImageFont.load_default(13)
    text = "a caption of some\n length, with words"
    whole = "a caption of some length, with words"
    short = shorten(text, width, font)
    assert font.getlength(short) <= width
    fitting = [n for n in range(len(whole)) if font.getlength(whole[:n].rstrip() + "…") <= width]
    cut = whole[: fitting[-1]].rstrip() + "…" if fitting else ""
    assert short == (whole if font.getlength(whole) <= width else cut)


def test_neighbours_stand_in_reading_order():
    colours = [(10 * i, 100, 50) for i in range(1, 12)]
    sheet = neighbour_sheet(flat(60, 60, RED), None, [flat(20, 20, c) for c in colours], ["x"] * 11)
    places = [extent(sheet, c) for c in colours]
    assert all(e[1] - e[0] == e[3] - e[2] == CELL - 1 for e in places)
    rows = [places[:COLUMNS], places[COLUMNS : 2 * COLUMNS], places[2 * COLUMNS :]]
    assert COLUMNS == 5 and [len({e[0] for e in row}) for row in rows] == [1, 1, 1]
    assert rows[0][0][0] < rows[1][0][0] < rows[2][0][0]
    left = [[e[2] for e in row] for row in rows]
    assert left[0] == sorted(set(left[0])) == left[1] and left[2] == left[0][:1]
    large = extent(sheet, RED)
    assert large[1] - large[0] + 1 == 2 * CELL + GAP and large[3] < left[0][0]


def test_captions_stand_under_their_picture_and_are_not_cut():
    neighbours = [flat(20, 20, RED)] * 4
    captions = ["one\ntwo", "", "W" * 200, "gj"]
    sheet = neighbour_sheet(flat(9, 9, BLUE), None, neighbours, captions, title="")
    seen = (sheet == RED).all(-1)
    left = np.flatnonzero(seen.any(0))[0]
    bottom = np.flatnonzero(seen.any(1))[-1] + 1
    below = ink(sheet)[bottom:]
    under = [below[:, left + i * (CELL + GAP) : left + i * (CELL + GAP) + CELL].any() for i in range(4)]
    assert under == [True, False, True, True]
    for i in range(4):  # gaps stay empty
        assert not below[:, left + i * (CELL + GAP) + CELL : left + (i + 1) * (CELL + GAP)].any()
    assert not below[-1].any()
    lines = ink(sheet)[bottom:, left : left + CELL].any(1)
    assert np.count_nonzero(np.diff(lines.astype(int)) == 1) == 2  # two lines, apart


def test_the_querys_hole_is_painted():
    hole = np.zeros((60, 40), bool)
    hole[20:40, 10:30] = True
    sheet = neighbour_sheet(flat(60, 40, BLUE), hole, [flat(9, 9, RED)], [""])
    top, bottom, left, right = extent(sheet, OUTLINE)
    assert abs(bottom - top + 1 - CELL / 3) <= 1 and abs(right - left + 1 - CELL / 3) <= 1
    assert (sheet[top + 1 : bottom, left + 1 : right] == 255).all()


def test_contexts_stand_in_blocks_and_bands_with_frames():
    grey, frame = flat(9, 9, 128), (0, 150, 0)
    pictures = [[[flat(9, 9, (10 * block, 100, row))] * 2 for row in range(2)] for block in range(4)]
    frames = [[[None, frame if (block, row) == (3, 1) else None] for row in range(2)] for block in range(4)]
    sheet = context_sheet([grey, grey], pictures, frames, titles=["a", "b", "c", "d"], cell=40)
    places = {(block, row): extent(sheet, (10 * block, 100, row)) for block in range(4) for row in range(2)}
    for (block, row), (top, bottom, left, right) in places.items():
        assert right - left == 2 * 40 + GAP - 1 - FRAME * ((block, row) == (3, 1))
        assert bottom - top == 39 and top == places[block - block % 2, row][0], "two blocks a band"
    assert places[2, 0][0] > places[0, 1][1] and places[0, 0][3] < places[1, 0][2]
    top, bottom, left, right = extent(sheet, frame)
    assert (bottom - top, right - left, top) == (39, 39, places[3, 1][0]) and left == places[3, 1][2] + 40 + GAP
    legend = context_sheet([grey], pictures[:1], frames[:1], titles=["a"], legend=[("mine", frame)])
    assert extent(legend, frame)[0] > extent(legend, (0, 100, 0))[1]


def test_wrong_use_is_refused():
    picture = flat(4, 4, RED)
    for call, words in (
        (lambda: contact_sheet([]), "at least one"),
        (lambda: contact_sheet([[]]), "at least one"),
        (lambda: contact_sheet([[picture]], row_labels=["a", "b"]), "2 row labels for 1 rows"),
        (lambda: contact_sheet([[picture]], column_labels=[]), "0 column labels for 1 columns"),
        (lambda: contact_sheet([[picture[..., 0]]]), "expected uint8"),
        (lambda: contact_sheet([[picture / 255]]), "expected uint8"),
        (lambda: neighbour_sheet(picture, None, [], []), "0 neighbours"),
        (lambda: context_sheet([picture], [[[picture]]], [[[None]]], titles=[]), "0 titles"),
        (lambda: neighbour_sheet(picture, None, [picture], []), "0 captions"),
        (lambda: neighbour_sheet(picture, np.zeros((3, 3), bool), [picture], [""]), "hole"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
