"""The folder of a run: checkpoints to resume from, best weights, table of metrics, sample grids."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError, LockedIndexError, StorageError, TrainingError, reason_of
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.checkpoint import export_half, load_tensors, save_network, save_tensors
from ce_retrieval.models.compression import export_compressed
from ce_retrieval.models.seen_photos import SEEN, read_seen, signatures, were_seen, write_seen
from ce_retrieval.own_files import foreign
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import check_folder, clear_leftovers, make_folder, new_folder, replace_file, writer_lock
from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.learner import Learner

_KEPT = 2


class RunFolder:
    """`checkpoints/step-NNNNNNNN/{network,training}.safetensors`, `best.safetensors`, `metrics.csv`, `samples/`.

    Beside them `seen-photos.npy`: the signatures of the photos that the run learns from.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.samples = self.path / "samples"
        self.best = self.path / "best.safetensors"
        self.half = self.path / "best-float16.safetensors"
        self.metrics = self.path / "metrics.csv"
        self.seen = self.path / SEEN

    def check(self, *, resume: bool) -> None:
        """Raise TrainingError where there is nothing to resume, or where a new run would replace what is there.

        StorageError where the folder cannot be written. To be called before long work.
        """
        check_folder(self.path)
        check_outside(self.metrics)
        newest = self.newest()
        if resume and newest is None:
            raise TrainingError(
                f"{self.path} holds no checkpoint to resume from: leave out `resume` to start a run, or check `out`"
            )
        if resume:
            self._rows()
            self._check_own()
            return
        if newest is not None:
            raise TrainingError(f"{self.path} already holds a run: set `resume` to continue it, or use another `out`")
        for path in (self.best, self.half, self.metrics, self.seen, *sorted(self.samples.glob("step-*.png"))):
            if path.exists():
                raise TrainingError(f"{path} is there already, of another run: move it away, or use another `out`")

    def _check_own(self) -> None:
        """Raise StorageError where a file that the run replaces is not a run's, or has been changed."""
        for path in (self.best, self.half):
            if path.exists():
                try:
                    load_tensors(path)
                except CheckpointError:
                    raise foreign(path) from None
        if self.seen.exists():
            try:
                read_seen(self.best)
            except CheckpointError:
                raise foreign(self.seen) from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make the folders, hold the right to write to them, and delete the temporary files of killed runs.

        TrainingError where another process is writing to them.
        """
        make_folder(self.checkpoints)
        make_folder(self.samples)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(writer_lock(self.path))
            except LockedIndexError as error:
                raise TrainingError(str(error)) from None
            for path in (self.best, self.half, self.metrics):
                clear_leftovers(self.path, path.name)
            clear_leftovers(self.checkpoints, "step-*")
            clear_leftovers(self.samples, "step-*")
            yield

    def newest(self) -> Path | None:
        """Return the folder of the newest whole checkpoint, or None."""
        found = self._steps()
        return found[-1] if found else None

    def _steps(self) -> list[Path]:
        """Return the folders of the checkpoints that runs wrote, the newest last; not copies of them under other names."""
        found = {
            int(path.name.removeprefix("step-")): path for path in self.checkpoints.glob("step-*") if _is_step(path)
        }
        return [found[step] for step in sorted(found)]

    def save(self, learner: Learner, header: dict[str, Any]) -> None:
        """Write a checkpoint to a temporary folder, rename it, and remove all but the two newest."""
        target = self.checkpoints / f"step-{learner.step:08d}"
        try:
            with new_folder(target) as temporary:
                save_network(temporary / "network.safetensors", learner.network, extra=header)
                save_tensors(temporary / "training.safetensors", learner.tensors(), {"kind": "training", **header})
                shutil.rmtree(target, ignore_errors=True)
        except StorageError as error:
            last = self.newest()
            kept = f"{last} is whole, resume from it" if last else "no earlier one exists"
            raise StorageError(f"{error} ({kept})") from None
        for old in self._steps()[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def resume(self, learner: Learner, fingerprint: str) -> dict[str, Any]:
        """Load the newest checkpoint into the learner; `check` has found that there is one.

        Parameters
        ----------
        learner : takes up the state of the checkpoint.
        fingerprint : of the photos of this run.

        Returns
        -------
        The checkpoint's header.

        Raises
        ------
        TrainingError : the checkpoint is of another configuration or other photos.
        CheckpointError : the checkpoint is damaged.
        """
        newest = self.newest()
        assert newest is not None, "`check` was called"
        network, header = load_tensors(newest / "network.safetensors")
        rest, other = load_tensors(newest / "training.safetensors")
        if header.get("kind") != "network" or other.get("kind") != "training" or other["step"] != header["step"]:
            raise CheckpointError(
                f"{newest}: its two files are of different runs or steps; remove it to resume from the one before"
            )
        ours, theirs = learner.config, TrainConfig.from_dict(header["training"], name=str(newest))
        names = [field.name for field in fields(ours)]
        differing = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
        if differing:
            raise TrainingError(
                f"{newest} was trained with another {', '.join(differing)}: resume with the same settings, "
                "or use another `out`"
            )
        if header["photos"] != fingerprint:
            raise TrainingError(
                f"{newest} was trained on other photos: resume with the same ones, or use another `out`"
            )
        learner.load(network, rest, header["step"], name=str(newest))
        return header

    def save_best(self, learner: Learner, header: dict[str, Any]) -> None:
        """Write the best weights: `best.safetensors` (float32) and `best-float16.safetensors`."""
        save_network(self.best, learner.network, extra=header, weights=self._detached(learner.weights()))
        export_half(self.best, self.half)

    def note_photos(self, photos: np.ndarray) -> None:
        """Write the signatures of the photos that the run learns from, uint8 (N, P, P, 3)."""
        write_seen(self.path, photos)

    def count_seen(self, photos: np.ndarray) -> int:
        """Return how many photos, uint8 (N, P, P, 3), are among those that the run learns from."""
        seen = read_seen(self.best)
        assert seen is not None
        return int(were_seen(signatures(photos), seen).sum())

    def finish(self, photos: np.ndarray, device: torch.device) -> None:
        """Add a compression of each layer to `best-float16.safetensors`, fitted to photos uint8 (N, S, S, 3).

        The local layer is fitted to whole photos, later ones to photos without their centre, as indexes store them.
        """
        hole = center_holes(1, photos.shape[1])[0]

        def hole_of(layer: str) -> np.ndarray | None:
            return None if layer == "cells" else hole

        try:
            export_compressed(self.best, self.half, photos, hole_of, device=device)
        except CheckpointError as error:
            raise TrainingError(
                f"{self.half}: {error}; the run is saved, but start a new one with a lower `rate`"
            ) from None

    @staticmethod
    def _detached(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in weights.items()}

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a row to `metrics.csv`; drop rows of the same or a later step, which are from before a resume.

        Columns that others have added stay.
        """
        rows = [old for old in self._rows() if int(old["step"]) < row["step"]]
        text = io.StringIO()
        columns = dict.fromkeys([*row, *(name for old in rows for name in old if name is not None)])
        writer = csv.DictWriter(text, fieldnames=list(columns), extrasaction="ignore", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
        replace_file(self.metrics, text.getvalue().encode())

    def _rows(self) -> list[dict[str, Any]]:
        """Return the rows of `metrics.csv`, none where there is no such file; TrainingError where it is something else."""
        if not self.metrics.exists():
            return []
        try:
            read = csv.DictReader(io.StringIO(read_regular(self.metrics).decode(), newline=""))
            rows = list(read)
            if all(row["step"].isdigit() for row in rows) and "step" in (read.fieldnames or ["step"]):
                return rows
        except (ValueError, KeyError, AttributeError, csv.Error):
            pass
        except OSError as error:
            raise TrainingError(f"{self.metrics} cannot be read ({reason_of(error)}): make it readable") from None
        raise TrainingError(f"{self.metrics} was altered and has no column of steps any more: move it away, and resume")


def _is_step(path: Path) -> bool:
    return re.fullmatch(r"step-([0-9]{8}|[1-9][0-9]{8,})", path.name) is not None and path.is_dir()
