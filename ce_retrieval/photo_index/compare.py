"""What has changed since photos were indexed: the photos that sources hold now, compared with the rows of the index."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field

import numpy as np

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.photo_index.batches import Task
from ce_retrieval.photo_index.repeats import Repeat, content_of
from ce_retrieval.photo_index.rows import Name, Rows
from ce_retrieval.photos import PhotoItem, PhotoSource
from ce_retrieval.photos.base import NO_STAMP, first_folder
from ce_retrieval.pool import WorkerPool, batched, in_order, worker_pool

AT_ONCE = 32  # items that a thread compares in one call
KEPT_OUT = -1  # in the place of a row: the photo was removed on purpose

# What becomes of an item: the row that it still is, or KEPT_OUT; the note of a duplicate that it still is; why it cannot be
# read; None: it is to be described.
Verdict = int | Repeat | str | None
Check = Callable[[PhotoSource, PhotoItem], str | None]  # tries to read a photo: why it cannot be used, or None


@dataclass
class Comparison:
    """How the photos of some sources differ from the rows of an index.

    Attributes
    ----------
    todo : set of (name, offset)
        Items to describe: `new` and `changed` ones.
    new, changed, vanished : list of name
        Photos that the index did not have (or could not read), that have another content, that are gone.
    present : int
        Photos that are as they were.
    kept_out : int
        Photos that were removed from the index on purpose, and stay out.
    skipped : name -> reason
        Photos that still cannot be read.
    kept : bool (n,)
        Rows that hold now.
    settled : set of name
        Photos that the index had skipped, and that are gone or can be read now.
    broken : number -> SourceError
        Sources that are damaged: nothing is known of their last photos.
    repeats : list of Repeat
        Photos that were seen and are left out as duplicates, of which the index need not be told again.
    settled_repeats : set of Repeat
        Notes of the index that do not hold any more: the photo is gone, has changed, or is to be described.
    """

    kept: np.ndarray
    todo: set[tuple[Name, int]] = field(default_factory=set)
    new: list[Name] = field(default_factory=list)
    changed: list[Name] = field(default_factory=list)
    vanished: list[Name] = field(default_factory=list)
    present: int = 0
    kept_out: int = 0
    skipped: dict[Name, str] = field(default_factory=dict)
    settled: set[Name] = field(default_factory=set)
    broken: dict[int, SourceError] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)
    settled_repeats: set[Repeat] = field(default_factory=set)

    @property
    def done(self) -> int:
        """The number of items that need no description."""
        return len(self.skipped) + self.present + self.kept_out


def compare(
    rows: Rows,
    sources: Mapping[int, PhotoSource],
    areas: Sequence[str],
    check: Check,
    workers: int,
    progress: Callable[[int], None],
) -> Comparison:
    """Compare the photos of sources with the rows of an index.

    A photo is as it was if its file has the recorded size and time of change, or else the recorded SHA-256. A row that was
    removed holds again when its photo is back. A photo has vanished if its file is missing in one of `areas`, or its item in
    a tar or table of `sources`; what cannot be looked at has not vanished.

    Where the index leaves out duplicates, a noted one, or a photo that is back, is taken only if no photo that holds now has
    its bytes; so this is decided last.

    Parameters
    ----------
    rows : Rows
    sources : number -> source
        Numbers as in the manifest of `rows`; new sources have higher ones.
    areas : list of str
        Real paths of files and folders in which missing photos are looked for.
    check : Check
        Tries those photos again that could not be read.
    workers : int
        Threads.
    progress : callable
        Called with the number of items that need no description.
    """
    found = Comparison(rows.kept.copy())
    seen_rows = np.zeros(len(rows.keys), bool)
    seen: set[Name] = set()
    waiting: list[tuple[Name, int, int | Repeat]] = []
    with worker_pool(workers) as pool:
        for name, item, verdict in _verdicts(pool, workers, rows, sources, check, found.broken):
            seen.add(name)
            known = rows.of(name)
            found.kept[[row for row in known if not seen_rows[row]]] = False
            seen_rows[known] = True
            if isinstance(verdict, str):
                found.skipped[name] = verdict
            elif verdict == KEPT_OUT:
                found.kept_out += 1
            elif isinstance(verdict, int) and rows.kept[verdict]:
                found.kept[verdict] = True
                found.present += 1
            elif verdict is not None and rows.manifest.skip_duplicates:
                waiting.append((name, item.offset, verdict))
            else:
                _take(found, rows, name, item.offset, verdict)
                continue
            progress(found.done)
    missing = _missing(rows, seen, set(sources) - set(found.broken), areas)
    for name in sorted(missing):
        gone = [row for row in rows.of(name) if rows.kept[row]]
        found.kept[gone] = False
        found.vanished += [name] * bool(gone)
    _settle_waiting(found, rows, waiting)
    left = set(found.repeats)
    found.settled = {name for name in rows.skipped if name in missing or (name in seen and name not in found.skipped)}
    found.settled_repeats = {
        one for one in rows.repeats if one.name in missing or (one.name in seen and one not in left)
    }
    return found


def _take(found: Comparison, rows: Rows, name: Name, offset: int, verdict: Verdict) -> None:
    """Note a photo that the index does not have now: its removed row holds again, or it is to be described."""
    if isinstance(verdict, int):
        found.kept[verdict] = True
    else:
        found.todo.add((name, offset))
    (found.changed if rows.kept[rows.of(name)].any() else found.new).append(name)


def _settle_waiting(found: Comparison, rows: Rows, waiting: Sequence[tuple[Name, int, int | Repeat]]) -> None:
    """Decide which of the noted duplicates, and of the photos that are back, are duplicates of what the index has now."""
    contents = rows.contents(found.kept) if waiting else set()
    for name, offset, verdict in waiting:
        repeat = verdict if isinstance(verdict, Repeat) else rows.as_repeat(verdict)
        content = content_of(repeat.sha256)
        if content in contents:
            found.repeats.append(repeat)
            continue
        _take(found, rows, name, offset, verdict)
        if isinstance(verdict, int):
            contents.add(content)


def chosen(rows: Rows, tasks: Iterable[Task], todo: set[tuple[Name, int]]) -> Iterator[Task]:
    """Yield the tasks that are to be done, under the names by which the index knows the photos."""
    for task in tasks:
        name = rows.name_of(*task)
        if (name, task.item.offset) not in todo:
            continue
        if name == (task.source, task.item.key):
            yield task
        else:
            in_folder = rows.manifest.sources[name[0]].kind == "folder"
            yield Task(name[0], PhotoItem(name[1], first_folder(name[1]) if in_folder else ""))


def _verdicts(
    pool: WorkerPool,
    workers: int,
    rows: Rows,
    sources: Mapping[int, PhotoSource],
    check: Check,
    broken: dict[int, SourceError],
) -> Iterator[tuple[Name, PhotoItem, Verdict]]:
    """Yield each item with what becomes of it.

    A source that turns out to be damaged is noted in `broken`.
    """

    def judge(batch: list[tuple[Name, PhotoSource, PhotoItem]]) -> list[tuple[Name, PhotoItem, Verdict]]:
        judged = []
        for name, source, item in batch:
            if pool.stopping.is_set():
                raise CancelledError
            judged.append((name, item, _verdict(rows, name, source, item, check)))
        return judged

    for number, source in sources.items():
        named = ((rows.name_of(number, item), source, item) for item in source.items())
        try:
            for judged in in_order(pool, judge, batched(named, AT_ONCE), 4 * workers):
                yield from judged
        except SourceError as error:
            broken[number] = error
        source.rest()


def _verdict(rows: Rows, name: Name, source: PhotoSource, item: PhotoItem, check: Check) -> Verdict:
    if rows.keeps_out(name):
        return KEPT_OUT
    known, repeat = rows.of(name), rows.repeat_at(name, item)
    if known or repeat or rows.keeps_out_contents:
        stamp = source.stamp(item)
        row = rows.with_stamp(known, item, stamp) if stamp != NO_STAMP else None
        sha256 = None if row is None else rows.sha256_of(row)
        if row is None and repeat and repeat.stamp == stamp != NO_STAMP:
            sha256 = repeat.sha256
        elif row is None:
            with contextlib.suppress(PhotoError):
                sha256 = hashlib.sha256(source.read(item)).hexdigest()
                row = rows.with_hash(known, item, sha256)
        if sha256 is not None and rows.keeps_out_content(sha256):
            return KEPT_OUT
        if row is not None:
            return row
        if repeat and repeat.sha256 == sha256:
            return repeat
    return check(source, item) if name in rows.skipped else None


def _missing(rows: Rows, seen: set[Name], walked: set[int], areas: Sequence[str]) -> set[Name]:
    """Return the photos, described or skipped, that are gone; walked: the sources whose items have all been seen."""
    missing: set[Name] = set()
    without_row = {*rows.skipped, *(one.name for one in rows.repeats)}
    for number, source in enumerate(rows.manifest.sources):
        root = os.path.realpath(source.root)
        below = [area for area in areas if area.startswith(os.path.join(root, ""))]
        whole = any(root == area or root.startswith(os.path.join(area, "")) for area in areas)
        if not (whole or number in walked or (source.is_folder and below)):
            continue
        kept = np.flatnonzero(rows.kept & (rows.sources == number)).tolist()
        names = {(number, rows.keys[row]) for row in kept} | {name for name in without_row if name[0] == number}
        if source.is_folder:
            inside = tuple(os.path.join(area, "") for area in below)
            paths = {name: os.path.join(root, name[1]) for name in names - seen}
            missing |= {name for name, path in paths.items() if (whole or path.startswith(inside)) and _is_gone(path)}
        elif (source.kind != "file" and number in walked) or _is_gone(root):
            missing |= names - seen
    return missing


def _is_gone(path: str) -> bool:
    """Tell a path that does not exist from one that cannot be looked at."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
