"""What a completion is, and how it is written: the filled photo, and where every filled pixel came from."""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.completion.record import json_lines, run_lengths, sha256_of
from ce_retrieval.completion.stages import Progress, telling
from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.figures import neighbour_sheet
from ce_retrieval.own_files import SOFTWARE, beside_name, check_free, is_own, read_record, sealed_json
from ce_retrieval.photos import DecodedPhoto
from ce_retrieval.photos.files import save_filled, save_result
from ce_retrieval.pixels import hole_box
from ce_retrieval.retrieval.neighbor import Neighbor
from ce_retrieval.storage import make_folder, replace_file, storage_errors, taken_back

if TYPE_CHECKING:
    from ce_retrieval.completion.auto.part import FilledPart

FROM_SCENE, SHIFTED = 255, 128  # values of a seam


class Taking(Protocol):
    """What a method keeps of its work, so that `Completion.take` need not do it again."""

    def __call__(self, done: "Completion", pick: int) -> "Completion":
        """Return a completion of the same photo from another of its candidates."""


@dataclass(frozen=True)
class Completion:
    """A completed photo.

    Attributes
    ----------
    best : uint8 (H, W, 3)
        the filled photo; known pixels are unchanged, except those that `seam` marks.
    hole : bool (H, W)
    candidates : the scenes that were kept, best first.
    neighbors : their entries in the search, in the same order.
    settings : the settings of the method.
    method : its name.
    index, others, network : what was used beside the photo, as JSON types: the index, other photos of the place, and the
        weights; None: not used.
    fills : the photo filled from each candidate alone, uint8 (H, W, 3) each, if asked for.
    thumbnails : small pictures of the fill by each candidate, uint8 (h, w, 3).
    seam : uint8 (H, W)
        FROM_SCENE where pixels are the scene's, SHIFTED where the blend was allowed to change the photo's own, 0 where no
        pixel may differ. None: only the hole was filled.
    dropped : why scenes were left out, one line each; lost: those of them that could not be read any more.
    copies : names of scenes that were left out since they are the photo itself or copies of it.
    grey : whether all known pixels of the photo are grey, so that scenes were turned to grey.
    expected : where the expected content came from: "network", "scenes" (the mean of the best), or None.
    parts : what each separate part of the hole was filled by, the largest first; method `auto` alone has them.
    notes : further lines for the user.
    taking : what `take` works with; None of methods that have no such candidates, and after `pickle` or `copy`.
    """

    best: np.ndarray
    hole: np.ndarray
    settings: Any
    method: str
    candidates: Sequence[Candidate] = ()
    neighbors: Sequence[Neighbor] = ()
    index: dict[str, Any] | None = None
    others: dict[str, Any] | None = None
    network: dict[str, Any] | None = None
    fills: Sequence[np.ndarray] = ()
    thumbnails: Sequence[np.ndarray] = ()
    seam: np.ndarray | None = None
    dropped: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    grey: bool = False
    expected: str | None = None
    parts: "Sequence[FilledPart]" = ()
    notes: tuple[str, ...] = ()
    taking: Taking | None = field(default=None, compare=False, repr=False)

    def take(self, pick: int, *, progress: Progress | None = None) -> "Completion":
        """Return the photo filled from another candidate, as a completion with that `pick` would, in a fraction of its time.

        Parameters
        ----------
        pick : the rank of the candidate.
        progress : as in `Completer.complete_many`.

        Raises
        ------
        SettingsError : the method fills from no single candidate, there is none of that rank, or `pickle` or `copy` has made
            this completion.
        PhotoError : the candidate's photo has vanished or changed.

        Notes
        -----
        The scene is read, blended and brought to the photo's size; search, placement, cut and ranking are those of before. For
        this a completion by the method `scenes` keeps, besides its pictures: the index; the photo, which is the given array
        and must not have been changed; about 10 bytes a pixel of the working size; 12 bytes a pixel of the hole at the
        index's size for each candidate; and what a fill from the same place changes, 4 bytes a pixel.
        """
        if self.taking is None:
            raise SettingsError(
                f"this completion by `method` {self.method} cannot be filled from another candidate: complete the photo again, "
                "by `method` scenes with `pick`"
            )
        if not isinstance(pick, int) or not 1 <= pick <= len(self.candidates):
            raise SettingsError(f"`pick` is {shown(pick)}: expected 1 to {len(self.candidates)}")
        with telling(progress):
            return self.taking(self, pick)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "taking": None}

    @property
    def loss(self) -> str:
        """A line on scenes that vanished or changed since they were indexed, "" where there are none."""
        count = len(self.lost)
        return f"{count} scene{'s' if count > 1 else ''} could not be read, the first: {self.lost[0]}" if count else ""

    @property
    def refusal(self) -> str:
        """A line on scenes that are the photo itself, "" where there are none."""
        count = len(self.copies)
        if not count:
            return ""
        what = (
            "1 scene is the photo itself or a copy of it"
            if count == 1
            else f"{count} scenes are the photo itself or copies"
        )
        return (
            f"{what}, and {'was' if count == 1 else 'were'} left out, the first: {self.copies[0]}; set `allow_same_photo` to "
            f"fill from {'it' if count == 1 else 'them'}"
        )

    def provenance(self) -> dict[str, Any]:
        """Return where every filled pixel came from, as JSON types.

        `hole.runs` are run lengths in row-major order, known pixels first. Each hole pixel comes from the candidates with a
        positive `share`: from the scene resized by `scale` and moved by `offset`,
        or as its `homography` says. `scenes_in_grey`: scenes were turned to
        their luma (ITU-R BT.601), since the photo is grey. `changed_outside_hole`: number of known pixels that the seam
        and its blend may have changed; `seam.png` among the `files` marks them (255: from the scene; 128: the photo's, blended).
        """
        return {
            "hole": {
                "height": self.hole.shape[0],
                "width": self.hole.shape[1],
                "pixels": int(self.hole.sum()),
                "box": list(hole_box(self.hole)),
                "runs": run_lengths(self.hole),
            },
            "changed_outside_hole": 0 if self.seam is None else int(((self.seam > 0) & ~self.hole).sum()),
            "method": self.method,
            "scenes_in_grey": self.grey,
            "expected": self.expected,
            "index": self.index,
            "others": self.others,
            "network": self.network,
            "settings": asdict(self.settings),
            **({"parts": [part.as_json() for part in self.parts]} if self.parts else {}),
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "dropped": list(self.dropped),
        }

    def save(
        self,
        path: str | Path,
        stem: str | None = None,
        about: dict[str, Any] | None = None,
        *,
        like: DecodedPhoto | None = None,
    ) -> Path:
        """Write STEM.png, pictures of the candidates in the folder STEM.candidates, and last STEM.json.

        Parameters
        ----------
        path : the picture FOLDER/STEM.png; with `stem`, the folder.
        stem : see `path`.
        about : further entries of the JSON, such as names and hashes of the inputs.
        like : the photo as `load_photo` returned it. The result then keeps what the photo's file holds: its colour profile,
            transparency and EXIF, with known pixels as they stand in the file, bit for bit. `like.encoding.notes` and the
            JSON say what cannot be kept. None: the result is plain sRGB.

        Returns
        -------
        The path of STEM.png.

        Raises
        ------
        StorageError : the folder or a file cannot be written, or a file that ceret did not write stands in its place: then
            no new file is left.

        Notes
        -----
        The JSON says that everything before it is written. Its `files` hold the names and hashes of the pictures, so that
        a picture of another run is never taken for one of this.
        """
        if like is not None and like.pixels.shape != self.best.shape:
            raise ValueError(
                f"like is of shape {like.pixels.shape}, the result {self.best.shape}: load it at its own size"
            )
        folder = Path(path) if stem is not None else Path(path).parent
        stem = Path(path).stem if stem is None else stem
        beside = beside_name(stem)
        pictures = {f"{stem}.png": self.best}
        # Those of the photo, and where they are not the photo's.
        filled = {f"{stem}.png": self.hole if self.seam is None else self.hole | (self.seam == FROM_SCENE)}
        if self.seam is not None:
            pictures[f"{beside}/seam.png"] = np.repeat(self.seam[..., None], 3, axis=2)
        if self.thumbnails:
            pictures[f"{beside}/sheet.png"] = self.sheet()
        for candidate, fill in zip(self.candidates, self.fills, strict=bool(self.fills)):
            pictures[f"{beside}/{candidate.rank:02d}.png"] = fill
            filled[f"{beside}/{candidate.rank:02d}.png"] = self.hole
        for name in (*pictures, f"{stem}.json"):
            check_free(folder / name)
        record = folder / f"{stem}.json"
        provenance = self.provenance()
        # Another choice among the same candidates leaves the pictures of all.
        chosen_anew = not self.fills and _shows_the_same(read_record(record), {**(about or {}), **provenance})
        stale = [] if chosen_anew else [old for old in (folder / beside).glob("*.png") if is_own(old)]
        with taken_back([*(folder / name for name in pictures), folder / beside]):
            make_folder(folder / beside if len(pictures) > 1 else folder)
            with storage_errors(record), contextlib.suppress(FileNotFoundError):
                os.lstat(record)  # too long a name is refused before anything is written
            files = {}
            for name, pixels in pictures.items():
                if like is not None and name in filled:
                    save_filled(folder / name, pixels, like, filled[name])
                else:
                    save_result(folder / name, pixels)
                with storage_errors(folder / name):
                    files[name] = sha256_of(folder / name)
            encoding = {"encoding": like.encoding.about()} if like is not None else {}
            text = json_lines({"software": SOFTWARE, **(about or {}), "files": files, **encoding, **provenance})
            # Nothing waits for the disk: what a loss of power leaves half written has another hash, and is made again.
            replace_file(record, sealed_json(text), synced=False)
        for old in stale:
            if f"{beside}/{old.name}" not in files:
                old.unlink(missing_ok=True)
        return folder / f"{stem}.png"

    def sheet(self) -> np.ndarray:
        """Return the thumbnails as one picture uint8 (h, w, 3), beside the photo with its hole; ValueError without any."""
        captions = [f"{c.rank}  {Path(c.photo.rpartition(':')[2]).name}" for c in self.candidates]
        return neighbour_sheet(self.best, self.hole, self.thumbnails, captions, title="photo")


def _shows_the_same(record: dict[str, Any] | None, told: dict[str, Any]) -> bool:
    """Return whether an earlier record is of the same photo and hole, filled by the same method from the same photos."""
    keys = ("photo", "hole", "method", "index", "others")
    return record is not None and all(record.get(key) == json.loads(json.dumps(told.get(key))) for key in keys)


def refilled(
    done: Completion, pick: int, best: np.ndarray, seam: np.ndarray | None, *, share: float = 1.0, **changes: Any
) -> Completion:
    """Return a completion with the fill from another of its candidates.

    Parameters
    ----------
    best, seam : of that fill.
    share : of that candidate; the others have none.
    changes : what else differs, by its name.
    """
    candidates = [replace(one, share=share if one.rank == pick else 0.0) for one in done.candidates]
    settings = replace(done.settings, pick=pick)
    return replace(done, best=best, seam=seam, settings=settings, candidates=candidates, **changes)
