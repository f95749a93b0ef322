"""Completing the photos of a plan: finished results are skipped, failures listed."""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.plan import Job, MaskReading, Outcome, check_target
from ce_retrieval.completion.record import read_saved
from ce_retrieval.completion.rerank.own_photo import evidence
from ce_retrieval.completion.result import Completion
from ce_retrieval.errors import CeretError, StorageError
from ce_retrieval.holes.files import polarity_hint, read_mask
from ce_retrieval.own_files import beside_name
from ce_retrieval.photo_index import Origin
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.photos import DEFAULT_MAX_PIXELS, DecodedPhoto, decode_photo
from ce_retrieval.photos.files import RAISE_MAX_PIXELS, read_bytes
from ce_retrieval.pool import worker_pool
from ce_retrieval.storage import check_folder

BATCH_PHOTOS = 32  # searched together, in one scan of the collection's vectors
BATCH_PIXELS = 48_000_000  # decoded at a time, plus one photo a thread


class _Loaded(NamedTuple):
    job: Job
    about: dict[str, Any]
    photo: DecodedPhoto
    hole: np.ndarray


def complete_folder(
    completer: Completer,
    jobs: Sequence[Job | Outcome],
    out: str | Path,
    *,
    reading: MaskReading | None = None,
    candidate_fills: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Complete every job, write STEM.png and STEM.json into `out`, and yield what became of each, in order.

    A job is skipped where `out` holds the whole result of the same photo, mask, index and settings. A photo of more than
    max_pixels is not read. progress: called with (done, total).

    Raises
    ------
    StorageError : a result cannot be written. Any other error of a photo is its outcome and spares the others.
    """
    out = Path(out)
    check_folder(out)
    check_outside(out / "result")
    reading = reading or MaskReading()

    def load(job: Job | Outcome) -> _Loaded | Outcome:
        return job if isinstance(job, Outcome) else _load(job, completer, out, reading, candidate_fills, max_pixels)

    done = 0
    with worker_pool(completer.workers) as pool:
        for batch in _batches(jobs, load, pool, completer.workers):
            ready = [item for item in batch if isinstance(item, _Loaded)]
            results = completer.complete_many(
                [evidence(item.photo, item.hole) for item in ready],
                [item.hole for item in ready],
                candidate_fills=candidate_fills,
                origins=[Origin(item.job.photo, item.about["photo"]["sha256"]) for item in ready],
            )
            saved = pool.map(_save, ready, results, [out] * len(ready))
            for item in batch:
                yield item if isinstance(item, Outcome) else next(saved)
                done += 1
                if progress:
                    progress(done, len(jobs))


def _batches(
    jobs: Sequence[Job | Outcome],
    load: Callable[[Job | Outcome], _Loaded | Outcome],
    pool: ThreadPoolExecutor,
    workers: int,
) -> Iterator[list[_Loaded | Outcome]]:
    """Yield the jobs loaded, as many at a time as BATCH_PHOTOS and BATCH_PIXELS allow."""
    batch: list[_Loaded | Outcome] = []
    pixels = 0
    for start in range(0, len(jobs), workers):
        for item in pool.map(load, jobs[start : start + workers]):
            batch.append(item)
            pixels += item.hole.size if isinstance(item, _Loaded) else 0
        if len(batch) >= BATCH_PHOTOS or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _load(
    job: Job, completer: Completer, out: Path, reading: MaskReading, candidate_fills: bool, max_pixels: int
) -> Outcome | _Loaded:
    """Return the photo and hole of a job, or its outcome where it needs no work or cannot be read."""
    try:
        data = read_bytes(job.photo)
        about = {
            "photo": {"path": os.path.abspath(job.photo), "sha256": hashlib.sha256(data).hexdigest()},
            "mask": {
                "path": os.path.abspath(job.mask),
                "sha256": hashlib.sha256(read_bytes(job.mask)).hexdigest(),
                **asdict(reading),
            },
        }
        if _is_done(job, about, completer, out, candidate_fills):
            return Outcome(job.photo, out / f"{job.stem}.png", skipped=True)
        photo = decode_photo(data, name=str(job.photo), max_pixels=max_pixels, remedy=RAISE_MAX_PIXELS)
        shape = photo.pixels.shape[:2]
        hole = read_mask(job.mask, shape, invert=reading.invert, alpha=reading.alpha, photo=job.photo)
        return _Loaded(job, about, photo, hole)
    except CeretError as error:
        return Outcome(job.photo, error=error)


def _save(item: _Loaded, result: Completion | CeretError, out: Path) -> Outcome:
    if isinstance(result, CeretError):
        return Outcome(item.job.photo, error=result)
    target = out / item.job.stem
    try:
        check_target(item.job, out, item.about["photo"]["sha256"])  # another run may have written since
    except CeretError as error:
        return Outcome(item.job.photo, error=error)
    try:
        written = result.save(target.parent, target.name, item.about, like=item.photo)
    except StorageError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return Outcome(item.job.photo, error=StorageError(f"{target.name}.json would be too long a name: shorten it"))
    notes = [polarity_hint(item.hole), result.loss, result.refusal, *result.notes, *item.photo.encoding.notes]
    return Outcome(item.job.photo, written, hint="; ".join(filter(None, notes)))


def _is_done(job: Job, about: dict[str, Any], completer: Completer, out: Path, candidate_fills: bool) -> bool:
    """Whether `out` holds the result of this very job: same inputs, index and settings, wherever the files lie."""
    target = out / job.stem
    old = read_saved(target.parent, target.name)
    if old is None:
        return False
    pictures = {f"{beside_name(target.name)}/{candidate['rank']:02d}.png" for candidate in old["candidates"]}
    if candidate_fills and not pictures <= set(old["files"]):
        return False
    settings = asdict(completer.settings)
    # What is of the photo's own source depends on where the photo lies.
    if settings.get("exclude_same_source") and old["photo"] != about["photo"]:
        return False
    wanted = {
        **about,
        "index": completer.about,
        "others": completer.others,
        "network": completer.network,
        "settings": settings,
    }
    return all(_without_path(old.get(name)) == _without_path(value) for name, value in wanted.items())


def _without_path(entry: Any) -> Any:
    """Return a JSON value as it reads back from a file, less its path; weights are known by the network's hash."""
    plain = json.loads(json.dumps(entry))
    if not isinstance(plain, dict):
        return plain
    return {name: value for name, value in plain.items() if name not in ("path", "weights")}


def finished(outcomes: Sequence[Outcome]) -> tuple[int, int, list[Outcome]]:
    """Return how many were written and skipped, and the failed."""
    failed = [outcome for outcome in outcomes if outcome.error]
    skipped = sum(outcome.skipped for outcome in outcomes)
    return len(outcomes) - skipped - len(failed), skipped, failed
