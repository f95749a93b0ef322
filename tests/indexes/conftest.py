"""Cards for tests: real ones, or FAISS's CPU classes in their place."""

import sys

import faiss
import pytest
from fake_cards import fake_faiss


@pytest.fixture
def cards(monkeypatch):
    """A function that gives FAISS so many GPUs, and returns the module."""

    def give(count=1, **more):
        module = fake_faiss(count, **more)
        monkeypatch.setitem(sys.modules, "faiss", module)
        return module

    return give


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.gpu)])
def any_card(request, cards):
    """The module FAISS with a GPU: once with a fake one, and once with a real one, if there is one."""
    if request.param == "fake":
        return cards(1)
    if not (hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus()):
        pytest.skip("needs faiss-gpu and a GPU")
    return faiss
