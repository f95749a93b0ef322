"""Contact sheets: the rows of Context Encoders' Figure 6 (a photo a row, a method a column) and the neighbours of Figure 8.

Everything here takes and gives uint8 (H, W, 3) arrays and writes no file.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

CELL = 160  # pixels: the side of the square that a picture fits into
GAP = 8
WHITE: Colour = (255, 255, 255)
INK: Colour = (34, 34, 34)
FAINT_INK: Colour = (110, 110, 110)
HOLE: Colour = (255, 255, 255)
OUTLINE: Colour = (220, 38, 38)
LABEL_SHARE = 0.9  # of a cell: how wide a row's label may be


def show_hole(photo: np.ndarray, hole: np.ndarray, color: Colour = HOLE, outline: Colour = OUTLINE) -> np.ndarray:
    """Paint a hole in one flat colour with an outline along its inside.

    photo: uint8 (H, W, 3); hole: bool (H, W). Returns a copy; visible pixels keep their values. The outline is 1 pixel
    wide per 128 pixels of the photo's shorter side; where the hole reaches the photo's border, it runs along that.
    """
    if photo.ndim != 3 or hole.shape != photo.shape[:2]:
        raise ValueError(f"photo {photo.shape} and hole {hole.shape}: expected (H, W, 3) and (H, W)")
    shown = photo.copy()
    shown[hole] = color
    inner = hole.copy()
    for _ in range(max(1, round(min(hole.shape) / 128))):
        near = np.pad(inner, 1)
        # 4 neighbours: a diagonal step of the border is as thin as a straight one.
        inner = inner & near[:-2, 1:-1] & near[2:, 1:-1] & near[1:-1, :-2] & near[1:-1, 2:]
    shown[hole & ~inner] = outline
    return shown


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    cell: int = CELL,
    gap: int = GAP,
    background: Colour = WHITE,
) -> np.ndarray:
    """A table of pictures: one row a photo (query with its hole, each method, truth), as in the paper's Figure 6.

    rows: pictures uint8 (h, w, 3) of any sizes; each is fitted into a cell x cell square, its aspect kept, and centred.
    Rows may be of different lengths. Labels stand left of their row and above their column; one that is too long is
    shortened with an ellipsis. Returns uint8 (H, W, 3). ValueError: no picture, or labels that do not match in number.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a contact sheet needs at least one picture")
    for kind, labels, count in (("row", row_labels, len(rows)), ("column", column_labels, columns)):
        if labels is not None and len(labels) != count:
            raise ValueError(f"{len(labels)} {kind} labels for {count} {kind}s")
    font = _font(cell)
    line = _line_height(font)
    widest = max((font.getlength(_one_line(label)) for label in row_labels or ()), default=0)
    left = gap + (min(int(widest) + 1, int(LABEL_SHARE * cell)) + gap if row_labels else 0)
    top = gap + (line + gap // 2 if column_labels else 0)
    step = cell + gap
    sheet = Image.new("RGB", (left + columns * step, top + len(rows) * step), background)
    draw = ImageDraw.Draw(sheet)
    for number, label in enumerate(column_labels or ()):
        text = shorten(label, cell, font)
        draw.text((left + number * step + cell / 2, gap), text, INK, font, anchor="ma")
    for index, row in enumerate(rows):
        y = top + index * step
        if row_labels:
            text = shorten(row_labels[index], left - 2 * gap, font)
            draw.text((left - gap, y + cell / 2), text, INK, font, anchor="rm")
        for number, picture in enumerate(row):
            _paste(sheet, picture, (left + number * step, y), cell)
    return np.asarray(sheet).copy()


def neighbour_sheet(
    query: np.ndarray,
    hole: np.ndarray | None,
    neighbours: Sequence[np.ndarray],
    captions: Sequence[str],
    *,
    columns: int = 5,
    title: str = "query",
    cell: int = CELL,
    gap: int = GAP,
    background: Colour = WHITE,
) -> np.ndarray:
    """A query and its nearest contexts, as in the paper's Figure 8: the query at the left, the neighbours in a grid.

    query: uint8 (H, W, 3), its hole painted by `show_hole` (None: no hole); neighbours: uint8 (h, w, 3) of any sizes,
    best first, `columns` a row; captions: one a neighbour, whose lines (at most two are usual) are shortened to the cell.
    The query is two cells large where the grid has two rows or more. Returns uint8 (H, W, 3).
    ValueError: no neighbour, captions that do not match in number, or columns < 1.
    """
    if not len(neighbours) or len(captions) != len(neighbours) or columns < 1:
        raise ValueError(
            f"{len(neighbours)} neighbours, {len(captions)} captions, {columns} columns: expected k, k, >= 1"
        )
    columns = min(columns, len(neighbours))
    count = -(-len(neighbours) // columns)
    font = _font(cell)
    texts = [caption.splitlines() for caption in captions]
    below = gap // 2 + max(1, *map(len, texts)) * _line_height(font)  # a caption's place under its picture
    step = (cell + gap, cell + below + gap)
    large = cell if count == 1 else 2 * cell + gap
    left = gap + large + 3 * gap
    height = gap + max(count * step[1], large + below + gap)
    sheet = Image.new("RGB", (left + columns * step[0], height), background)
    draw = ImageDraw.Draw(sheet)

    shown = _fit(query, large, hole)
    sheet.paste(shown, (gap + (large - shown.width) // 2, gap))
    _caption(draw, [title], (gap, gap + shown.height + gap // 2), large, font)
    line = left - 2 * gap + gap // 2
    draw.line((line, gap, line, height - gap - 1), fill=(215, 215, 215), width=1)
    for index, (picture, text) in enumerate(zip(neighbours, texts, strict=True)):
        x, y = left + index % columns * step[0], gap + index // columns * step[1]
        _paste(sheet, picture, (x, y), cell)
        _caption(draw, text, (x, y + cell + gap // 2), cell, font)
    return np.asarray(sheet).copy()


def shorten(text: str, width: float, font: ImageFont.FreeTypeFont) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `width` pixels ("" when not even that fits)."""
    text = _one_line(text)
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)  # the longest start that fits: widths grow with length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle].rstrip() + "…") <= width else (low, middle - 1)
    short = text[:low].rstrip() + "…"
    return short if font.getlength(short) <= width else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _font(cell: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(10, round(cell / 12)))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise ValueError("labels need a Pillow that was built with FreeType: install the wheel from PyPI")
    return font


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    return sum(font.getmetrics())


def _caption(
    draw: ImageDraw.ImageDraw, lines: Sequence[str], place: tuple[int, int], width: int, font: ImageFont.FreeTypeFont
) -> None:
    """Centred lines under a picture: the first dark, the others fainter. place: (x, y) of the top left corner."""
    for number, text in enumerate(lines):
        where = (place[0] + width / 2, place[1] + number * _line_height(font))
        draw.text(where, shorten(text, width, font), FAINT_INK if number else INK, font, anchor="ma")


def _fit(picture: np.ndarray, cell: int, hole: np.ndarray | None = None) -> Image.Image:
    """The picture at the largest size in a square of side `cell`; a hole is painted after, so that its edge is crisp."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"picture {picture.dtype} {picture.shape}: expected uint8 (H, W, 3)")
    height, width = picture.shape[:2]
    scale = cell / max(height, width)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(picture).resize(fitted, Image.Resampling.LANCZOS)
    if hole is None:
        return image
    if hole.shape != picture.shape[:2]:
        raise ValueError(f"photo {picture.shape} and hole {hole.shape}: expected (H, W, 3) and (H, W)")
    shown = np.asarray(Image.fromarray(hole).resize(fitted, Image.Resampling.NEAREST))
    return Image.fromarray(show_hole(np.asarray(image), shown))


def _paste(sheet: Image.Image, picture: np.ndarray, place: tuple[int, int], cell: int) -> None:
    """Centre a picture in the square of side `cell` whose top left corner is at (x, y)."""
    image = _fit(picture, cell)
    sheet.paste(image, (place[0] + (cell - image.width) // 2, place[1] + (cell - image.height) // 2))
