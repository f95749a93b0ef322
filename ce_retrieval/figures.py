"""Contact sheets after Context Encoders (Pathak et al. 2016): Figure 6, a photo a row, and Figure 8, nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ce_retrieval.pixels import Bools, Photo

CELL = 160  # px: side of the square that a picture fits into
GAP = 8  # px between cells
WHITE = (255, 255, 255)
INK = (34, 34, 34)
FAINT_INK = (110, 110, 110)
LINE = (215, 215, 215)
OUTLINE = (220, 38, 38)
LABEL_SHARE = 0.9  # largest width of a row's label, of a cell's side
COLUMNS = 5  # neighbours side by side
SMALL_CELL = 96  # of a sheet with several blocks
BLOCKS_A_BAND = 3
FRAME = 3  # px

Colour = tuple[int, int, int]


def show_hole(photo: Photo, hole: Bools) -> Photo:
    """Return a copy of a photo uint8 (H, W, 3) with its hole bool (H, W) painted white and outlined in red.

    The outline lies inside the hole, 1 px wide per 128 px of the photo's shorter side. Where the hole reaches the photo's
    border, the outline runs along the border.
    """
    if photo.ndim != 3 or hole.shape != photo.shape[:2]:
        raise ValueError(f"photo {photo.shape} and hole {hole.shape}: expected (H, W, 3) and (H, W)")
    shown = photo.copy()
    shown[hole] = WHITE
    inner = hole.copy()
    for _ in range(max(1, round(min(hole.shape) / 128))):
        near = np.pad(inner, 1)
        # 4 neighbours: a diagonal step of the border is as thin as a straight one.
        inner = inner & near[:-2, 1:-1] & near[2:, 1:-1] & near[1:-1, :-2] & near[1:-1, 2:]
    shown[hole & ~inner] = OUTLINE
    return shown


def contact_sheet(
    rows: Sequence[Sequence[Photo]],
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    cell: int = CELL,
) -> Photo:
    """Draw a table of pictures, a photo a row (query with its hole, each method, truth), as in the paper's Figure 6.

    Parameters
    ----------
    rows : pictures uint8 (h, w, 3) of any sizes
        each is fitted into a square cell, keeping its aspect ratio, and centred. Rows may differ in length.
    row_labels, column_labels : one a row, one a column, or None
        they stand left of their row and above their column; long ones are shortened with an ellipsis.
    cell : int
        side of a cell, px.

    Returns
    -------
    uint8 (H, W, 3)
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
    left = GAP + (min(int(widest) + 1, int(LABEL_SHARE * cell)) + GAP if row_labels else 0)
    top = GAP + (line + GAP // 2 if column_labels else 0)
    step = cell + GAP
    sheet = Image.new("RGB", (left + columns * step, top + len(rows) * step), WHITE)
    draw = ImageDraw.Draw(sheet)
    for number, label in enumerate(column_labels or ()):
        text = shorten(label, cell, font)
        draw.text((left + number * step + cell / 2, GAP), text, INK, font, anchor="ma")
    for index, row in enumerate(rows):
        y = top + index * step
        if row_labels:
            text = shorten(row_labels[index], left - 2 * GAP, font)
            draw.text((left - GAP, y + cell / 2), text, INK, font, anchor="rm")
        for number, picture in enumerate(row):
            _paste(sheet, picture, (left + number * step, y), cell)
    return np.asarray(sheet).copy()


def neighbour_sheet(
    query: Photo, hole: Bools | None, neighbours: Sequence[Photo], captions: Sequence[str], *, title: str = "query"
) -> Photo:
    """Draw a query and its nearest contexts, as in the paper's Figure 8: the query left, the neighbours in a grid.

    Parameters
    ----------
    query : uint8 (H, W, 3)
        drawn two cells large if the grid has at least two rows.
    hole : bool (H, W) or None
        painted by `show_hole`.
    neighbours : at least one picture uint8 (h, w, 3) of any size
        best first.
    captions : one a neighbour
        every line of it, usually at most two, is shortened to the cell.
    title : str
        the query's caption.

    Returns
    -------
    uint8 (H, W, 3)
    """
    if not len(neighbours) or len(captions) != len(neighbours):
        raise ValueError(f"{len(neighbours)} neighbours and {len(captions)} captions: expected k and k, k at least 1")
    columns = min(COLUMNS, len(neighbours))
    count = -(-len(neighbours) // columns)
    font = _font(CELL)
    texts = [caption.splitlines() for caption in captions]
    below = GAP // 2 + max(1, *map(len, texts)) * _line_height(font)  # height of the captions
    step = (CELL + GAP, CELL + below + GAP)
    large = CELL if count == 1 else 2 * CELL + GAP
    left = GAP + large + 3 * GAP
    height = GAP + max(count * step[1], large + below + GAP)
    sheet = Image.new("RGB", (left + columns * step[0], height), WHITE)
    draw = ImageDraw.Draw(sheet)

    shown = _fit(query, large, hole)
    sheet.paste(shown, (GAP + (large - shown.width) // 2, GAP))
    _caption(draw, [title], (GAP, GAP + shown.height + GAP // 2), large, font)
    line = left - 2 * GAP + GAP // 2
    draw.line((line, GAP, line, height - GAP - 1), fill=LINE, width=1)
    for index, (picture, text) in enumerate(zip(neighbours, texts, strict=True)):
        x, y = left + index % columns * step[0], GAP + index // columns * step[1]
        _paste(sheet, picture, (x, y), CELL)
        _caption(draw, text, (x, y + CELL + GAP // 2), CELL, font)
    return np.asarray(sheet).copy()


def context_sheet(
    queries: Sequence[Photo],
    blocks: Sequence[Sequence[Sequence[Photo]]],
    frames: Sequence[Sequence[Sequence[Colour | None]]],
    *,
    titles: Sequence[str],
    legend: Sequence[tuple[str, Colour]] = (),
    cell: int = SMALL_CELL,
) -> Photo:
    """Draw queries and their nearest contexts by several descriptors, as in the paper's Figure 8: a query a row.

    Parameters
    ----------
    queries : pictures uint8 (h, w, 3)
        At the left of each band.
    blocks : a block each descriptor: for each query its neighbours, nearest first
        at most BLOCKS_A_BAND of them side by side; further ones in bands below.
    frames : of the same shape
        The colour of the frame of each neighbour, None for no frame.
    titles : one a block, above it.
    legend : (text, colour) of frames, below all.
    cell : side of a cell, px.

    Returns
    -------
    uint8 (H, W, 3)
    """
    if not len(queries) or not len(blocks) or not len(blocks) == len(frames) == len(titles):
        raise ValueError(
            f"{len(queries)} queries, {len(blocks)} blocks, {len(titles)} titles: expected 1 or more, and a title each"
        )
    font, step = _font(CELL), cell + GAP
    line = _line_height(font)
    widths = [max(1, *(len(row) for row in block)) * step + GAP for block in blocks]
    bands = np.array_split(np.arange(len(blocks)), -(-len(blocks) // BLOCKS_A_BAND))
    width = GAP + step + GAP + max(sum(widths[number] for number in band) for band in bands)
    top, height = line + GAP, line + GAP + len(queries) * step + GAP
    sheet = Image.new("RGB", (width, GAP + len(bands) * height + (line + GAP if legend else 0)), WHITE)
    draw = ImageDraw.Draw(sheet)
    for number, band in enumerate(bands):
        y = GAP + number * height
        for row, query in enumerate(queries):
            _paste(sheet, query, (GAP, y + top + row * step), cell)
        x = GAP + step + GAP
        for block in band:
            draw.line((x - GAP, y, x - GAP, y + top + len(queries) * step - GAP), fill=LINE, width=1)
            draw.text((x, y), shorten(titles[block], widths[block] - 2 * GAP, font), INK, font)
            for row, (pictures, colours) in enumerate(zip(blocks[block], frames[block], strict=True)):
                for column, (picture, colour) in enumerate(zip(pictures, colours, strict=True)):
                    place = (x + column * step, y + top + row * step)
                    _paste(sheet, picture, place, cell)
                    if colour:
                        draw.rectangle((*place, place[0] + cell - 1, place[1] + cell - 1), outline=colour, width=FRAME)
            x += widths[block]
    _legend(draw, legend, sheet.height - line - GAP, font)
    return np.asarray(sheet).copy()


def shorten(text: str, width: float, font: ImageFont.FreeTypeFont) -> str:
    """Return text on one line, cut with an ellipsis to at most `width` px; "" if not even that fits."""
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
    """Replace every run of white space by one space."""
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
    """Write centred lines below a picture, the first dark, the others faint; place: (x, y) of the top left corner."""
    for number, text in enumerate(lines):
        where = (place[0] + width / 2, place[1] + number * _line_height(font))
        draw.text(where, shorten(text, width, font), FAINT_INK if number else INK, font, anchor="ma")


def _legend(
    draw: ImageDraw.ImageDraw, entries: Sequence[tuple[str, Colour]], y: int, font: ImageFont.FreeTypeFont
) -> None:
    """Write what the colours of frames mean, side by side from the left."""
    x, side = GAP, _line_height(font)
    for text, colour in entries:
        draw.rectangle((x, y, x + side - 1, y + side - 1), outline=colour, width=FRAME)
        draw.text((x + side + GAP, y), text, INK, font)
        x += side + 4 * GAP + int(font.getlength(text))


def _fit(picture: Photo, cell: int, hole: Bools | None = None) -> Image.Image:
    """Resize a picture to fit a square of side `cell`; a hole is painted afterwards, which keeps its edge sharp."""
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


def _paste(sheet: Image.Image, picture: Photo, place: tuple[int, int], cell: int) -> None:
    """Centre a picture in the square of side `cell` whose top left corner is `place`, (x, y)."""
    image = _fit(picture, cell)
    sheet.paste(image, (place[0] + (cell - image.width) // 2, place[1] + (cell - image.height) // 2))
