"""What is to be completed: each photo with its mask, and where its result goes; nothing else is ever overwritten."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_retrieval.errors import CeretError, MaskError, SourceError, StorageError, one_line
from ce_retrieval.holes.files import MASK_SUFFIXES, is_mask_name
from ce_retrieval.own_files import beside_name, check_first_fill, check_free, read_record
from ce_retrieval.photos import open_source
from ce_retrieval.photos.base import masked_stem
from ce_retrieval.photos.files import read_bytes
from ce_retrieval.photos.folder_sources import check_name
from ce_retrieval.photos.walk import walk


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
    hint : doubts about the mask, scenes that were left out, and what of the photo's file the result does not keep; "" where
        there is nothing to say.
    """

    photo: Path
    written: Path | None = None
    skipped: bool = False
    error: CeretError | None = None
    hint: str = ""

    @property
    def reason(self) -> str:
        """The error as one line that begins with the photo, "" where there is none."""
        text = str(self.error or "")
        begins = text.startswith((f"{self.photo}:", f"{self.photo} "))
        return one_line(text if not text or begins else f"{self.photo}: {text}")

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON types."""
        return {
            "photo": str(self.photo),
            "written": str(self.written) if self.written else None,
            "done_before": self.skipped,
            "error": self.reason or None,
            "hint": self.hint or None,
        }


class Plan(list[Job | Outcome]):
    """A job for each photo, or an outcome with its error.

    Attributes
    ----------
    notes : list of (path, line)
        One for each folder and kind of file that was passed over.
    """

    def __init__(self, jobs: Sequence[Job | Outcome] = (), notes: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(jobs)
        self.notes = list(notes)


def plan_jobs(photos: str | Path, masks: str | Path, out: str | Path, reading: MaskReading | None = None) -> Plan:
    """Pair photos with masks.

    Parameters
    ----------
    photos : a photo, or a folder that is searched recursively; `out` and `masks` inside it are passed over, and so are
        results of ceret and masks beside their photos.
    masks : one mask for all photos, or a folder: the mask of SUB/STEM.jpg is SUB/STEM.png (or another image suffix) in it,
        else SUB/STEM_mask.png, SUB/STEM-mask.png or SUB/mask_STEM.png, else one of these at the top of the folder. A photo is
        never a mask, except that its own alpha channel may be (`MaskReading.alpha`).
    out : folder of the results.
    reading : how the masks will be read.

    Returns
    -------
    A job for each photo, or an outcome with its error: the mask is missing or not the only one, another photo has the
    same stem, or the result would overwrite an input, a file that ceret did not write, or the result of another photo.

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
    plan = Plan()
    stems = _stems(photos, masks, out, plan)
    alpha = reading is not None and reading.alpha
    mask_of = _Masks(masks, [photo for photo, _ in stems], out, alpha=alpha)
    seen: dict[str, Path] = {}
    for photo, stem in stems:
        try:
            check_name(photo)
            if seen.setdefault(stem, photo) is not photo:
                raise SourceError(f"has the name of {seen[stem].name} but for the suffix: rename one of them")
            job = Job(photo, mask_of(photo, stem), stem)
            check_target(job, out)
            plan.append(job)
        except CeretError as error:
            plan.append(Outcome(photo, error=error))
    return plan


def _stems(photos: Path, masks: Path, out: Path, plan: Plan) -> list[tuple[Path, str]]:
    """Return each photo and the stem of its result."""
    if not photos.is_dir():
        return [(photos, photos.stem)]
    home = os.path.realpath(photos)
    if os.path.realpath(out) == home:
        raise StorageError(f"{out} is the folder of the photos: choose another for the results")
    mask_home = os.path.realpath(masks)
    source = open_source(photos, "folder", apart=[out])
    files = [photos / item.key for item in source.items()]
    if mask_home == home:  # then they are used
        source.passed_over.masks = 0
    plan.notes += source.passed_over.notes(str(photos))
    if masks.is_file():
        files = [file for file in files if file.name != masks.name or not _is_one_file(file, masks)]
    elif mask_home != home:
        files = [file for file in files if not Path(os.path.realpath(file.parent)).is_relative_to(mask_home)]
    if not files:
        raise SourceError(f"{photos} holds no photo but those of {masks} and {out}: check the paths")
    return [(file, file.relative_to(photos).with_suffix("").as_posix()) for file in files]


class _Masks:
    """Finds the mask of a photo in a folder by its name; one mask file is that of every photo."""

    def __init__(self, masks: Path, photos: Sequence[Path], out: Path, *, alpha: bool) -> None:
        self._masks, self._alpha = masks, alpha
        self._exact: dict[str, list[Path]] = {}
        self._named: dict[str, list[Path]] = {}  # STEM_mask and the like, by STEM
        if not masks.is_dir():
            return
        names = walk(str(masks), is_mask_name, apart=[os.path.realpath(out)], with_masks=True)
        for name in (Path(found.relative) for found in names):
            self._exact.setdefault(name.with_suffix("").as_posix(), []).append(masks / name)
            if stem := masked_stem(name.stem):
                self._named.setdefault((name.parent / stem).as_posix(), []).append(masks / name)
        if not self._exact:
            raise MaskError(f"mask folder {masks} holds no mask: expected images ({', '.join(MASK_SUFFIXES)})")
        self._photos = {os.path.realpath(photo) for photo in photos}

    def __call__(self, photo: Path, stem: str) -> Path:
        """Return the mask of a photo; MaskError where there is none, or more than one."""
        if not self._masks.is_dir():
            if not self._alpha and _is_one_file(self._masks, photo):
                raise MaskError(
                    f"{photo} is given as its own mask: give a mask file, or set `alpha` where its transparency marks the hole"
                )
            return self._masks
        names = (stem, stem.rpartition("/")[2])
        for paths in (found.get(name, []) for name in names for found in (self._exact, self._named)):
            paths = [path for path in paths if os.path.realpath(path) not in self._photos]
            if len(paths) > 1:
                raise MaskError(f"two masks of that name in {self._masks}: keep {paths[0].name} or {paths[1].name}")
            if paths:
                return paths[0]
        if self._alpha and self._exact.get(stem, [None])[0] == photo:
            return photo
        within = Path(os.path.realpath(photo)).is_relative_to(os.path.realpath(self._masks))
        raise MaskError(f"no mask of that name in {self._masks}: add {stem}{'_mask' if within else ''}.png")


def _is_one_file(one: Path, other: Path) -> bool:
    """Return whether two paths lead to one file; False where a link leads nowhere."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def check_target(job: Job, out: Path, sha256: str | None = None) -> None:
    """Raise StorageError where the result would overwrite an input, a file of others, or the result of another photo.

    sha256: of the photo's file; None: it is read where that is needed.
    """
    target, inputs = out / job.stem, {"photo": job.photo, "mask": job.mask}
    record = Path(f"{target}.json")
    beside = target.with_name(beside_name(target.name))
    for path in (Path(f"{target}.png"), record, beside / "seam.png", beside / "sheet.png", *beside.glob("[0-9]*.png")):
        check_free(path, inputs)
    old = read_record(record)
    if old is None:
        check_first_fill(Path(f"{target}.png"), record)
    elif not _is_result_of(old, job.photo, sha256):
        raise StorageError(
            f"{target}.png is the result of another photo, {old['photo']['path']}: choose another folder for the results, or "
            "move it away"
        )


def _is_result_of(record: dict[str, Any], photo: Path, sha256: str | None) -> bool:
    """Return whether a record is of this photo: of the file at this place, whatever it holds now, or one with its bytes."""
    old = record.get("photo")
    if not (isinstance(old, dict) and isinstance(old.get("path"), str)):
        return True
    if os.path.abspath(old["path"]) == os.path.abspath(photo):
        return True
    return old.get("sha256") == (sha256 or hashlib.sha256(read_bytes(photo)).hexdigest())
