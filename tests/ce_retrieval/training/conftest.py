"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest
from training_cases import TINY, make_photos, small_adversary

from ce_retrieval.training import PackedPhotos, preset_config


@pytest.fixture
def photos() -> PackedPhotos:
    return make_photos(40, 40)


@pytest.fixture
def held_out() -> PackedPhotos:
    return make_photos(10, 32, seed=1)


@pytest.fixture
def tiny_config():
    """A function that gives a tiny configuration with some fields changed."""

    def make(**changes):
        values = {"network": TINY, "masks": "mixed", "batch": 8, "steps": 6, "warmup": 2, **changes}
        return preset_config("compact", **values)

    return make


@pytest.fixture
def few_channels(monkeypatch):
    """Joint runs have an adversary of few channels for small photos: it takes seconds where the paper's takes minutes."""
    learner = pytest.importorskip("ce_retrieval.training.learner")
    monkeypatch.setattr(learner, "Discriminator", small_adversary)
    monkeypatch.setattr("ce_retrieval.training.config.ADVERSARY_SIDE", 16)
