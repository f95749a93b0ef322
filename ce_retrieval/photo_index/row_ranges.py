"""Row numbers as text, as a manifest stores those of removed photos: a folder that vanished takes a few bytes."""

from collections.abc import Sequence


def ranges_text(rows: Sequence[int]) -> str:
    """Return ascending numbers as text, as in "0-2,7"."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in runs)


def rows_of_text(text: str, count: int) -> tuple[int, ...]:
    """Read what `ranges_text` wrote; ValueError unless the rows are ascending and below `count`."""
    rows: list[int] = []
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        start, end = int(first), int(last or first)
        if not (rows[-1] if rows else -1) < start <= end < count:
            raise ValueError(f"removed rows {text[:40]!r} of {count}")
        rows += range(start, end + 1)
    return tuple(rows)
