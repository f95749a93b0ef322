"""`ceret query`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli.options import PATH, json_option, mask_options, max_pixels_option, open_index, option, search_options
from cli.output import note, print_json, say, with_options


@click.command()
@click.argument("photo", type=PATH)
@mask_options("The hole: white = missing, the photo's size. Without it, photos like PHOTO are found.", required=False)
@search_options
@option("--out", type=PATH, metavar="NAME.png", help="Also draw the query and its neighbours.")
@max_pixels_option
@json_option
def command(
    photo: Path,
    mask: Path | None,
    invert: bool,
    alpha: bool,
    index_path: Path,
    features: str,
    k: int | None,
    focus: float | str | None,
    where: str | None,
    exclude_same_source: bool,
    out: Path | None,
    max_pixels: int,
    as_json: bool,
    **engine: Any,
) -> None:
    """Find the nearest contexts of PHOTO with a hole: the photos most alike around that hole, of its kind or its place.

    Without --mask, find the photos most like PHOTO as a whole.
    """
    from ce_retrieval.figures import CELL, neighbour_sheet
    from ce_retrieval.holes.files import polarity_hint, read_mask
    from ce_retrieval.photo_index.writing import check_outside
    from ce_retrieval.photos.files import check_place, load_photo, save_result
    from ce_retrieval.retrieval.neighbor import neighbor_photos
    from ce_retrieval.retrieval.search import default_focus, find_neighbors

    if mask is None and (invert or alpha):
        raise click.UsageError("--invert-mask and --mask-alpha say how to read a mask: give one with --mask")
    if out:
        check_outside(out)
        check_place(out, {"photo": photo, **({"mask": mask} if mask else {})})
    pixels, _, _, encoding = load_photo(photo, max_pixels=max_pixels)
    hole = read_mask(mask, pixels.shape[:2], invert=invert, alpha=alpha, photo=photo) if mask else None
    index = open_index(index_path, features, **engine)
    if features != "index" or hole is None:
        px = None if focus == "auto" else focus
    else:
        px = default_focus(index.descriptor) if isinstance(focus, str) else focus
    apart_from = photo if exclude_same_source else None
    search: dict[str, Any] = {"features": features, "focus": px, "where": where}
    neighbors = find_neighbors(index, pixels, hole, k, **search, apart_from=apart_from)
    for hint in filter(None, [polarity_hint(hole) if hole is not None else "", *encoding.faults]):
        note(f"note: {with_options(hint)}")
    opened, dropped = neighbor_photos(index, neighbors, CELL) if out else ([], [])
    if out and opened:
        captions = [f"{n.rank}  {Path(n.record.key).name}\n{n.distance:.4f}" for n, _ in opened]
        sheet = neighbour_sheet(pixels, hole, [picture for _, picture in opened], captions, title=photo.name)
        save_result(out, sheet)
    if as_json:
        search["exclude_same_source"] = exclude_same_source
        print_json({"photo": str(photo), **search, "neighbors": [asdict(neighbor) for neighbor in neighbors]})
    else:
        for neighbor in neighbors:
            say(f"{neighbor.rank:3d}  {neighbor.distance:.5f}  {neighbor.name}")
        if opened:
            say(f"picture: {out}")
    for line in dropped:
        note(f"not in the picture: {line}")
    if out and not opened:
        raise click.ClickException(f"{out} is not written: none of the neighbours' photos can be read")
