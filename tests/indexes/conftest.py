"""What the tests of indexes share: cards, real ones or FAISS's CPU classes in their place, and small grids."""

import sys

import faiss
import pytest
from fake_cards import fake_faiss
from pooled_cases import collection, exact_index


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


@pytest.fixture(scope="module")
def grids():
    return collection()


@pytest.fixture(scope="module")
def exact(grids):
    return exact_index(grids)
