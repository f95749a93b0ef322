"""Completing the photos of a folder: masks are matched by name, finished results skipped, failures listed."""

import errno
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.result import Completion, beside_name, read_saved
from ce_retrieval.errors import CeretError, MaskError, SourceError, StorageError
from ce_retrieval.holes.files import MASK_SUFFIXES, polarity_hint, read_mask
from ce_retrieval.photo_index import Origin
from ce_retrieval.photos import DEFAULT_MAX_PIXELS, DecodedPhoto, decode_photo, open_source
from ce_retrieval.photos.files import RAISE_MAX_PIXELS, read_bytes
from ce_retrieval.pool import worker_pool
from ce_retrieval.storage import make_folder

BATCH_PHOTOS = 32  # searched together, in one scan of the collection's vectors
BATCH_PIXELS = 48_000_000  # decoded at a time, plus one photo a thread


@dataclass(frozen=True)
class Job:
    """A photo to complete: its file, its mask's file, and the stem of its result (within a folder: SUB/STEM)."""

    photo: Path
    mask: Path
    stem: str


@dataclass(frozen=True)
class MaskReading:
    """How mask files are read. invert: dark marks the hole; alpha: transparent does."""

    invert: bool = False
    alpha: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes
    ----------
    written : the result's picture, None where there is none.
    skipped : the result was there already.
    error : why there is no result.
    hint : doubts about the mask, scenes that could not be read, and what of the photo's file the result does not keep; "" where
        there is nothing to say.
    """

    photo: Path
    written: Path | None = None
    skipped: bool = False
    error: CeretError | None = None
    hint: str = ""

    @property
    def reason(self) -> str:
        """The error as one line that names the photo, "" where there is none."""
        text = " ".join(str(self.error or "").split())
        return text if not text or str(self.photo) in text else f"{self.photo}: {text}"

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {
            "photo": str(self.photo),
            "written": str(self.written) if self.written else None,
            "done_before": self.skipped,
            "error": self.reason or None,
            "hint": self.hint or None,
        }


class _Loaded(NamedTuple):
    job: Job
    about: dict[str, Any]
    photo: DecodedPhoto
    hole: np.ndarray


class Plan(list[Job | Outcome]):
    """A job for each photo, or an outcome with its error; `notes`: (path, line) for all that is not taken for a photo."""

    notes: Sequence[tuple[str, str]] = ()


def plan_jobs(photos: str | Path, masks: str | Path, out: str | Path) -> Plan:
    """Pair photos with masks.

    Parameters
    ----------
    photos : a photo, or a folder that is searched recursively; `out` and `masks` inside it are passed over.
    masks : one mask for all photos, or a folder: the mask of SUB/STEM.jpg is SUB/STEM.png (or another image suffix) in it,
        else STEM.png.
    out : folder of the results.

    Returns
    -------
    A job for each photo, or an outcome with its error: the mask is missing or not the only one, another photo has the
    same stem, or the result would overwrite the photo or its mask.

    Raises
    ------
    SourceError, MaskError : a path does not exist, or a folder holds no photo.
    StorageError : `out` is `photos`.
    """
    photos, masks, out = Path(photos), Path(masks), Path(out)
    if not photos.exists():
        raise SourceError(f"no photo at {photos}: check the path")
    if not masks.exists():
        raise MaskError(f"no mask at {masks}: check the path")
    jobs = Plan()
    stems = _stems(photos, masks, out, jobs)
    found = _masks_in(masks) if masks.is_dir() else None
    seen: dict[str, Path] = {}
    for photo, stem in stems:
        try:
            if seen.setdefault(stem, photo) is not photo:
                raise SourceError(f"has the name of {seen[stem].name} but for the suffix: rename one of them")
            job = Job(photo, masks if found is None else _mask_of(stem, found, masks), stem)
            _check_apart(job, out)
            jobs.append(job)
        except CeretError as error:
            jobs.append(Outcome(photo, error=error))
    return jobs


def _stems(photos: Path, masks: Path, out: Path, plan: Plan) -> list[tuple[Path, str]]:
    """Return each photo and the stem of its result."""
    if not photos.is_dir():
        return [(photos, photos.stem)]
    home = photos.resolve()
    if out.resolve() == home:
        raise StorageError(f"{out} is the folder of the photos: choose another for the results")
    apart = [place.resolve() for place in (out, masks) if place.resolve() != home]
    source = open_source(photos, "folder")
    files = [photos / item.key for item in source.items()]
    plan.notes = source.passed_over.notes(str(photos))
    files = [file for file in files if not any(file.parent.resolve().is_relative_to(place) for place in apart)]
    if not files:
        raise SourceError(f"{photos} holds no photo but those of {masks} and {out}: check the paths")
    return [(file, file.relative_to(photos).with_suffix("").as_posix()) for file in files]


def _masks_in(folder: Path) -> dict[str, list[Path]]:
    """Return the mask files under a folder by their path in it without the suffix."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in MASK_SUFFIXES and not path.name.startswith("."):
            found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    if not found:
        raise MaskError(f"mask folder {folder} holds no mask: expected images ({', '.join(MASK_SUFFIXES)})")
    return found


def _mask_of(stem: str, found: dict[str, list[Path]], folder: Path) -> Path:
    paths = found.get(stem) or found.get(stem.rpartition("/")[2])
    if not paths:
        raise MaskError(f"no mask of that name in {folder}: add {stem}.png")
    if len(paths) > 1:
        raise MaskError(f"two masks of that name in {folder}: keep {paths[0].name} or {paths[1].name}")
    return paths[0]


def _check_apart(job: Job, out: Path) -> None:
    """Raise StorageError where the result would overwrite the photo or its mask."""
    target = out / f"{job.stem}.png"
    for kind, path in (("photo", job.photo), ("mask", job.mask)):
        if target.exists() and path.exists() and target.samefile(path):
            raise StorageError(f"the result would overwrite the {kind} {path}: choose another folder for the results")


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
    make_folder(out)
    reading = reading or MaskReading()

    def load(job: Job | Outcome) -> _Loaded | Outcome:
        return job if isinstance(job, Outcome) else _load(job, completer, out, reading, candidate_fills, max_pixels)

    done = 0
    with worker_pool(completer.workers) as pool:
        for batch in _batches(jobs, load, pool, completer.workers):
            ready = [item for item in batch if isinstance(item, _Loaded)]
            results = completer.complete_many(
                [item.photo.pixels for item in ready],
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
            "photo": {"path": str(job.photo), "sha256": hashlib.sha256(data).hexdigest()},
            "mask": {
                "path": str(job.mask),
                "sha256": hashlib.sha256(read_bytes(job.mask)).hexdigest(),
                **asdict(reading),
            },
        }
        if _is_done(job, about, completer, out, candidate_fills):
            return Outcome(job.photo, out / f"{job.stem}.png", skipped=True)
        photo = decode_photo(data, name=str(job.photo), max_pixels=max_pixels, remedy=RAISE_MAX_PIXELS)
        hole = read_mask(job.mask, photo.pixels.shape[:2], invert=reading.invert, alpha=reading.alpha)
        return _Loaded(job, about, photo, hole)
    except CeretError as error:
        return Outcome(job.photo, error=error)


def _save(item: _Loaded, result: Completion | CeretError, out: Path) -> Outcome:
    if isinstance(result, CeretError):
        return Outcome(item.job.photo, error=result)
    target = out / item.job.stem
    try:
        written = result.save(target.parent, target.name, item.about, like=item.photo)
    except StorageError as error:
        if getattr(error.__cause__, "errno", None) != errno.ENAMETOOLONG:
            raise
        return Outcome(item.job.photo, error=StorageError(f"{target.name}.json would be too long a name: shorten it"))
    notes = [polarity_hint(item.hole), result.loss, *item.photo.encoding.notes]
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
    wanted = {**about, "index": completer.about, "network": completer.network, "settings": settings}
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
