"""Completing many photos: masks matched by name, what is done skipped, what fails listed and passed over."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.pipeline import Completer
from ce_retrieval.completion.result import Completion
from ce_retrieval.errors import CeretError, MaskError, SourceError
from ce_retrieval.mask_files import mask_paths, read_mask
from ce_retrieval.photos import IMAGE_SUFFIXES, decode_photo

CHUNK = 32  # photos searched as one batch


@dataclass(frozen=True)
class Job:
    """A photo to complete: its file, its mask's file, and the stem of what is written."""

    photo: Path
    mask: Path
    stem: str


@dataclass(frozen=True)
class MaskReading:
    """How mask files are read: `invert`: dark is the hole; `alpha`: transparent is."""

    invert: bool = False
    alpha: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the written picture, or why there is none; skipped: it was there already."""

    job: Job
    written: Path | None
    skipped: bool = False
    error: CeretError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {
            "photo": str(self.job.photo),
            "written": str(self.written) if self.written else None,
            "done_before": self.skipped,
            "error": str(self.error) if self.error else None,
        }


class _Loaded:
    """The inputs of a job, and the part of its JSON that identifies them."""

    def __init__(self, job: Job, reading: MaskReading) -> None:
        data, mask = _read(job.photo), _read(job.mask)
        self.about: dict[str, Any] = {
            "photo": {"path": str(job.photo), "sha256": hashlib.sha256(data).hexdigest()},
            "mask": {"path": str(job.mask), "sha256": hashlib.sha256(mask).hexdigest(), **asdict(reading)},
        }
        self._data, self._job, self._reading = data, job, reading

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return photo uint8 (H, W, 3) and hole bool (H, W)."""
        photo = decode_photo(self._data, name=str(self._job.photo)).pixels
        invert, alpha = self._reading.invert, self._reading.alpha
        return photo, read_mask(self._job.mask, photo.shape[:2], invert=invert, alpha=alpha)


def plan_jobs(photos: str | Path, masks: str | Path) -> list[Job | Outcome]:
    """Pair photos with masks: a photo or all photos of a folder; one mask for all, or a folder of masks of the same stem.

    A photo without a mask, or with the stem of another photo, is an Outcome with its error. SourceError or MaskError where
    a path does not exist or a folder holds no photo.
    """
    photos, masks = Path(photos), Path(masks)
    if not photos.exists():
        raise SourceError(f"no photo at {photos}: check the path")
    if not masks.exists():
        raise MaskError(f"no mask at {masks}: check the path")
    if photos.is_dir():
        files = sorted(f for f in photos.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith("."))
        if not files:
            raise SourceError(f"{photos} holds no photo: give a folder with {', '.join(sorted(IMAGE_SUFFIXES))} files")
    else:
        files = [photos]
    by_stem = {path.stem: path for path in mask_paths(masks)} if masks.is_dir() else None
    jobs: list[Job | Outcome] = []
    seen: dict[str, Path] = {}
    for file in files:
        mask = masks if by_stem is None else by_stem.get(file.stem)
        job = Job(file, mask or masks, file.stem)
        if file.stem in seen:
            error: CeretError = SourceError(
                f"{file} has the stem of {seen[file.stem].name}: rename one, both would be written"
            )
            jobs.append(Outcome(job, None, error=error))
        elif mask is None:
            jobs.append(
                Outcome(
                    job, None, error=MaskError(f"no mask in {masks} has the stem of {file.name}: add {file.stem}.png")
                )
            )
        else:
            jobs.append(job)
        seen.setdefault(file.stem, file)
    return jobs


def complete_folder(
    completer: Completer,
    jobs: Sequence[Job | Outcome],
    out: str | Path,
    *,
    reading: MaskReading | None = None,
    candidate_fills: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Outcome]:
    """Complete every job and write STEM.png and STEM.json into `out`; yield what became of each, in order.

    A job whose JSON names the same photo, mask, index and settings is skipped. An error of one photo is its outcome and
    spares the others; StorageError, which would meet them all, is raised.
    """
    out = Path(out)
    reading = reading or MaskReading()
    with ThreadPoolExecutor(completer.workers) as pool:
        for start in range(0, len(jobs), CHUNK):
            part = jobs[start : start + CHUNK]
            loaded = list(pool.map(lambda job: _load(job, completer, out, reading, candidate_fills), part))
            ready = [(place, *item) for place, item in enumerate(loaded) if isinstance(item, tuple)]
            done = completer.complete_many(
                [photo for _, _, photo, _ in ready], [hole for *_, hole in ready], candidate_fills=candidate_fills
            )
            written = pool.map(_save, (part[item[0]] for item in ready), (item[1] for item in ready), done, repeat(out))
            by_place = dict(zip((item[0] for item in ready), written, strict=True))
            for place, item in enumerate(loaded):
                yield item if isinstance(item, Outcome) else by_place[place]
            if progress:
                progress(start + len(part), len(jobs))


def _load(
    job: Job | Outcome, completer: Completer, out: Path, reading: MaskReading, candidate_fills: bool
) -> Outcome | tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return the outcome of a job that needs no work, or (about, photo, hole) of one that does."""
    if isinstance(job, Outcome):
        return job
    try:
        inputs = _Loaded(job, reading)
        if _is_done(job, inputs.about, completer, out, candidate_fills):
            return Outcome(job, out / f"{job.stem}.png", skipped=True)
        return inputs.about, *inputs.decode()
    except CeretError as error:
        return Outcome(job, None, error=error)


def _save(job: Job | Outcome, about: dict[str, Any], result: Completion | CeretError, out: Path) -> Outcome:
    assert isinstance(job, Job), "only jobs are loaded"
    if isinstance(result, CeretError):
        return Outcome(job, None, error=result)
    return Outcome(job, result.save(out, job.stem, about))


def _is_done(job: Job, about: dict[str, Any], completer: Completer, out: Path, candidate_fills: bool) -> bool:
    """Whether `out` holds the result of this very job: same inputs, same index, same settings."""
    record = out / f"{job.stem}.json"
    if not record.is_file() or not (out / f"{job.stem}.png").is_file():
        return False
    if candidate_fills and not (out / f"{job.stem}.candidates").is_dir():
        return False
    try:
        old = json.loads(record.read_bytes())
    except ValueError:
        return False
    wanted = {**about, "index": completer.about, "settings": asdict(completer.settings)}
    return all(old.get(name) == json.loads(json.dumps(value)) for name, value in wanted.items())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error


def finished(outcomes: Sequence[Outcome]) -> tuple[int, int, list[Outcome]]:
    """Return how many were written and skipped, and the failed."""
    failed = [outcome for outcome in outcomes if outcome.error]
    skipped = sum(outcome.skipped for outcome in outcomes)
    return len(outcomes) - skipped - len(failed), skipped, failed
