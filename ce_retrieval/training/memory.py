"""Out of memory: find the batch that fits."""

from __future__ import annotations

import torch
from torch import Tensor

from ce_retrieval.errors import TrainingError
from ce_retrieval.training.learner import Learner


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error reports a lack of memory, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _free(learner: Learner) -> None:
    """Drop the gradients, and the memory that torch caches."""
    for optimiser in (one for part in learner.optimisers.values() for one in part):
        optimiser.zero_grad(set_to_none=True)
    if learner.device.type == "cuda":
        torch.cuda.empty_cache()


def _fitting_batch(learner: Learner, photos: Tensor, holes: Tensor) -> int:
    """Return the largest of batch / 2, / 4, ... whose losses and gradients fit into memory; 0 if not even 1 does."""
    batch = len(photos) // 2
    while batch:
        _free(learner)
        try:
            learner.losses(photos[:batch], holes[:batch])[1].backward()
            return batch
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            batch //= 2
        finally:
            _free(learner)
    return 0


def out_of_memory_error(learner: Learner, inputs: tuple[Tensor, Tensor]) -> TrainingError:
    """Return the error to raise after a step on `inputs` ran out of memory; it names a batch that fits."""
    batch, where = learner.config.batch, learner.device
    message = f"`batch` {batch} does not fit into the memory of {where}"
    if learner.team.size > 1:  # a trial here would leave the other processes waiting
        return TrainingError(f"{message}: use a smaller one")
    fits = _fitting_batch(learner, *inputs)
    if fits == 0:
        return TrainingError(f"{message}, nor does a single photo: use a smaller network or another device")
    return TrainingError(f"{message}: use {fits}, which does")
