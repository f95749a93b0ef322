"""The folder of a run: checkpoints to resume from, best weights, table of metrics, sample grids."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError, StorageError, TrainingError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.checkpoint import export_half, load_tensors, save_network, save_tensors
from ce_retrieval.models.compression import export_compressed
from ce_retrieval.storage import make_folder, new_folder, replace_file
from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.learner import Learner

_KEPT = 2
_RESULTS = ("best.safetensors", "best-float16.safetensors", "metrics.csv", "samples/step-*.png")


def check_place(path: str | Path, *, resume: bool) -> None:
    """Raise TrainingError where a run in this folder would replace files that are not its own.

    With `resume`, the files beside a checkpoint are its own. A new run replaces none.
    """
    folder = Path(path)
    if next(folder.glob("checkpoints/step-*"), None) is not None:
        if resume:
            return
        raise TrainingError(f"{folder} already holds a run: set `resume` to continue it, or use another `out`")
    for name in _RESULTS:
        found = next(folder.glob(name), None)
        if found is not None:
            raise TrainingError(
                f"{found} is there already, and {folder / 'checkpoints'} has no checkpoint to resume from: use another `out`, or "
                "move it away"
            )


class RunFolder:
    """`checkpoints/step-NNNNNNNN/{network,training}.safetensors`, `best.safetensors`, `metrics.csv`, `samples/`."""

    def __init__(self, path: str | Path, *, resume: bool) -> None:
        check_place(path, resume=resume)
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best.safetensors"
        make_folder(self.checkpoints)
        make_folder(self.path / "samples")

    def newest(self) -> Path | None:
        """Return the folder of the newest whole checkpoint, or None."""
        found = sorted(entry for entry in self.checkpoints.iterdir() if entry.name.startswith("step-"))
        return found[-1] if found else None

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
        for old in sorted(self.checkpoints.glob("step-*"))[:-_KEPT]:
            shutil.rmtree(old, ignore_errors=True)

    def resume(self, learner: Learner, fingerprint: str) -> dict[str, Any] | None:
        """Load the newest checkpoint into the learner.

        Parameters
        ----------
        learner : takes up the state of the checkpoint.
        fingerprint : of the photos of this run.

        Returns
        -------
        The checkpoint's header, or None where there is no checkpoint yet.

        Raises
        ------
        TrainingError : the checkpoint is of another configuration or other photos.
        CheckpointError : the checkpoint is damaged.
        """
        newest = self.newest()
        if newest is None:
            return None
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
        export_half(self.best, self.path / "best-float16.safetensors")

    def finish(self, photos: np.ndarray, device: torch.device) -> None:
        """Add a compression of each layer to `best-float16.safetensors`, fitted to photos uint8 (N, S, S, 3).

        The local layer is fitted to whole photos, later ones to photos without their centre, as indexes store them.
        """
        hole = center_holes(1, photos.shape[1])[0]
        target = self.path / "best-float16.safetensors"
        export_compressed(self.best, target, photos, lambda layer: None if layer == "cells" else hole, device=device)

    @staticmethod
    def _detached(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in weights.items()}

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a row to `metrics.csv`; drop rows of the same or a later step, which are from before a resume."""
        path = self.path / "metrics.csv"
        rows: list[dict[str, Any]] = []
        with contextlib.suppress(FileNotFoundError), open(path, newline="") as file:
            rows = [old for old in csv.DictReader(file) if int(old["step"]) < row["step"]]
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(row), extrasaction="ignore", restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
        replace_file(path, text.getvalue().encode())
