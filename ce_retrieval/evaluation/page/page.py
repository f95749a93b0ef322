"""The page: head, a part for each kind of holes, and what an experiment's file said."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from string import Template
from typing import Any

from ce_retrieval.errors import counted
from ce_retrieval.evaluation.experiments.growth import Growth
from ce_retrieval.evaluation.page.charts import growth_chart, plane_chart
from ce_retrieval.evaluation.page.gallery import CASES, MOST_BYTES, Album, gallery
from ce_retrieval.evaluation.page.markup import data_block, element, escaped, names_only
from ce_retrieval.evaluation.page.tables import by_area_table, difference_table, figure_table
from ce_retrieval.evaluation.plots.overview import planes_of
from ce_retrieval.evaluation.report import notes
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.photo_index.manifest import library_versions

LOOKS = Path(__file__).parent / "looks"
MOST_NAMES = 200  # of photos that were left out


def page(
    told: str,
    photos: Sequence[str],
    pooled: Mapping[str, Evaluation],
    shown: Mapping[str, Evaluation],
    growths: Mapping[str, Growth],
    seeds: Sequence[int],
) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    told : the experiment's file, as TOML.
    photos : paths of the query photos; their last names are shown.
    pooled : figures over all seeds, by the title of a part.
    shown : the evaluation whose pictures are shown, by the same titles; parts that are missing here show none.
    growths : how figures grow with the collection, by the kind of holes.
    """
    album, parts = Album(), []
    galleries: list[dict[str, Any]] = []
    for number, (title, evaluation) in enumerate(pooled.items()):
        if title in shown:
            left = len(shown) - len(galleries)
            most = album.size + (MOST_BYTES - album.size) // left
            galleries.append(gallery(shown[title], title, album, most) | {"part": number})
        parts.append(_part(number, title, evaluation, galleries[-1] if title in shown else None, seeds))
    first = next(iter(pooled.values()))
    name = ", ".join(PurePath(one).name or one for one in photos)
    script, style = _text("report.js"), _text("report.css")
    links = [element("a", escaped(title), href=f"#part{number}") for number, title in enumerate(pooled)]
    return Template(_text("report.html")).substitute(
        policy=escaped(_policy(script, style)),
        title=escaped(f"{name}: methods compared"),
        style=style,
        script=script,
        head=escaped(name),
        about=_about(first, pooled, seeds),
        links=element("nav", *links, aria_label="Kinds of holes") if len(links) > 1 else "",
        growth=_growth(growths),
        parts="\n".join(parts),
        told=element("pre", element("code", "\n".join(escaped(line) for line in told.splitlines()))),
        data=data_block("album", {"pictures": album.addresses, "galleries": galleries}),
    )


def _policy(script: str, style: str) -> str:
    """Return the page's Content-Security-Policy: its own script and style, pictures inside it, and nothing else."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    return (
        f"default-src 'none'; img-src data:; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _about(first: Evaluation, pooled: Mapping[str, Evaluation], seeds: Sequence[int]) -> str:
    """Return what was measured, on what, and by what."""
    about, collection = first.about, first.about["collection"]
    networks = [f"{one['architecture']} {one['sha256'][:12]}" for one in about["networks"]]
    versions = library_versions(("torch",) if networks else ())
    facts = {
        "photos": f"{len(first.names)}, at {about['size']}×{about['size']} pixels",
        "collection": f"{counted(collection['photos'], 'photo')}, {PurePath(collection['index']).name}, "
        f"indexed with hole {collection['hole']} by {', '.join(about['features'])}",
        "methods": str(len(first.results)),
        "holes": "; ".join(pooled),
        "seeds": ", ".join(map(str, seeds)) + "; the figures of a photo are its means over them" * (len(seeds) > 1),
        "measured over": f"{about['region']}; range {about['range']}",
        "networks": ", ".join(networks),
        "perceptual": f"{PurePath(judge['path']).name}, layers {', '.join(judge['layers'])}"
        if (judge := about["perceptual"])
        else "",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "index made by": ", ".join(f"{name} {version}" for name, version in about["libraries"].items()),
    }
    lines = [element("dt", escaped(k)) + element("dd", escaped(v)) for k, v in facts.items() if v]
    return element("dl", *lines, class_="facts")


def _growth(growths: Mapping[str, Growth]) -> str:
    """Return the charts of how figures grow with the collection, "" for none."""
    drawn = [
        element("figure", chart, element("figcaption", escaped(f"{measure.head}, holes: {kind}")))
        for kind, growth in growths.items()
        for measure in growth.measures
        if (chart := growth_chart(growth, measure, kind))
    ]
    if not drawn:
        return ""
    note = element(
        "p",
        "Smaller collections are parts of the larger ones; photos and holes are the same. Bands are 95 % intervals. ",
        "Dashed: methods without a collection.",
        class_="faint",
    )
    head = element("h2", "By the size of the collection", id="growth")
    return element("section", head, note, element("div", *drawn, class_="charts"), aria_labelledby="growth")


def _part(number: int, title: str, evaluation: Evaluation, shown: dict[str, Any] | None, seeds: Sequence[int]) -> str:
    """Return the part of a kind of holes."""
    content = [element("h2", f"Holes: {escaped(title)}", id=f"part{number}")]
    content.append(element("h3", "Figures"))
    content.append(
        element(
            "p",
            "Small: the 95 % interval. Bold: the best, oracle aside. Choose a heading to sort by it.",
            class_="faint",
        )
    )
    content.append(figure_table(evaluation, title))
    if differences := difference_table(evaluation, title):
        content += [element("h3", "Which are better"), differences]
    if evaluation.settings.masks == "irregular":
        content += [element("h3", "L2 % by the share that is missing"), by_area_table(evaluation, title)]
    charts = [plane_chart(plane, title) for plane in planes_of(evaluation)]
    if charts:
        content += [element("h3", "Overview"), element("div", *charts, class_="charts")]
    if shown:
        content += [element("h3", "Photos"), _photos(number, shown, seeds)]
    content.append(_notes(evaluation, is_open=number == 0))
    return element("section", *content, aria_labelledby=f"part{number}")


def _photos(number: int, shown: dict[str, Any], seeds: Sequence[int]) -> str:
    """Return the place of a gallery, which the script fills."""
    about = (
        f"{len(shown['photos'])} of {counted(shown['all'], 'photo')}: {len(shown['drawn'])} drawn by the seed, and the worst "
        f"and best of each method, at most {CASES}, as far as they fit into this file. Pictures and the figures under them are "
        f"of seed {seeds[0]}. Choose a picture to enlarge it; arrow keys lead on."
    )
    noscript = element("noscript", element("p", "The pictures need the script of this page."))
    return element("p", escaped(about), class_="faint") + element(
        "div", noscript, class_="gallery", data_gallery=number
    )


def _notes(evaluation: Evaluation, *, is_open: bool) -> str:
    """Return the lines under Markdown's tables, and the names of what was left out."""
    about = evaluation.about
    paths = [evaluation.settings.masks, *about["seen"]["unknown"]]
    if about["perceptual"]:
        paths.append(about["perceptual"]["path"])
    lines = [element("li", escaped(names_only(line, paths))) for line in notes(evaluation)]
    lines += [
        element("li", escaped(f"Not taken for a photo: {names_only(line)}")) for _, line in evaluation.passed_over
    ]
    content = [element("details", element("summary", "Notes"), element("ul", *lines), open=is_open)]
    left_out = [f"{one.query}: a near-duplicate of {one.photo} in the collection" for one in evaluation.leaks]
    left_out += [f"{one.name}: {one.reason}" for one in (*evaluation.unserved, *evaluation.unreadable)]
    if left_out:
        kept = "measured all the same" if evaluation.settings.keep_leaks else "left out"
        head = f"Photos with near-duplicates ({kept}), that a method could not fill, or that cannot be read"
        items = [element("li", escaped(names_only(one))) for one in left_out[:MOST_NAMES]]
        if len(left_out) > MOST_NAMES:
            items.append(element("li", f"and {len(left_out) - MOST_NAMES} more"))
        content.append(element("details", element("summary", escaped(head)), element("ul", *items)))
    return element("div", *content, class_="notes")


def _text(name: str) -> str:
    return (LOOKS / name).read_text(encoding="utf-8")
