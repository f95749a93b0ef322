"""Random draws of a run: each a pure function of the run's seed, of what it is for, and of the step or row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Generator, device

# Numbers that tell the draws of one seed apart. Results depend on them: new ones are added, old ones stay.
PHOTOS, TRAINING_CROPS, TEST_CROPS, DROPOUT, FIRST_CROPS, FIRST_LOSSES, MIRRORS, REGIONS, FIRST_SCORES = range(11, 20)


def generator_on(where: device, *key: int) -> Generator:
    """Return a generator of torch on a device, seeded by a key of `numpy.random.default_rng`."""
    from torch import Generator

    return Generator(where).manual_seed(int(np.random.default_rng(key).integers(2**62)))
