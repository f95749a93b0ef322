"""Which recipe suits: by the number of photos, the memory, the recall, and the grid."""

import pytest

from indexes.base import EngineError
from indexes.recipes import choose, megabytes, recipes

FILL = 256, 4


def chosen(count, recall=0.95, memory=1 << 40, name=None, grid=FILL):
    return choose(recipes(count, *grid, recall, cores=2), count, recall, memory, name)


def test_few_photos_are_searched_exactly_and_many_by_codes():
    assert [chosen(count).name for count in (10, 99_999, 100_000)] == ["exact", "exact", "pooled"]
    assert [chosen(count).name for count in (2_999_999, 3_000_000, 10**8)] == ["pooled", "lists", "lists"]


def test_memory_is_counted():
    exact, pooled, lists = recipes(10**6, *FILL, 0.95)
    assert lists.memory == pooled.memory + 8 * 10**6
    assert chosen(10**7, memory=lists.memory * 10 - 1).name == "pooled", "what suits does not fit"
    assert exact.memory == 10**6 * 4 * (1024 + 256) and pooled.memory == 10**6 * (64 + 4)
    assert chosen(50_000, memory=10**8).name == "pooled", "the vectors do not fit"
    with pytest.raises(
        EngineError,
        match=r"`max_memory` 9MB is too little to search 1,000,000 photos: give at least 65MB \(recipe pooled",
    ):
        chosen(10**6, memory=10**7)
    with pytest.raises(EngineError, match=r"give at least 4883MB \(recipe exact, recall 1\), or a lower `recall`"):
        chosen(10**6, recall=1, memory=10**9)


def test_the_time_of_a_query_is_what_its_bytes_take():
    exact, pooled, lists = recipes(10**6, *FILL, 0.95, cores=2)
    assert exact.seconds == pytest.approx(5.12e9 / 2.5e9 / 2)
    assert pooled.seconds == pytest.approx(64e6 / 9e9 / 2 + 10e-3), "the codes, then the candidates"
    assert recipes(10**6, *FILL, 0.9, cores=2)[1].seconds == pytest.approx(64e6 / 9e9 / 2 + 5e-3), "half as many"
    assert lists.seconds == pytest.approx(64e6 / 9e9 / 2 / 4 + 10e-3), "a quarter of the codes"


def test_a_higher_recall_takes_more_effort():
    efforts = [recipes(10**6, *FILL, recall)[1].effort for recall in (0.9, 0.97, 0.99, 0.995)]
    assert efforts == sorted(efforts) and len(set(efforts)) == 4
    assert chosen(10**6, recall=1).name == "exact"


def test_those_who_know_choose():
    assert chosen(10**6, name="exact").name == "exact" and chosen(10, name="pooled").name == "pooled"
    with pytest.raises(EngineError, match=r"no recipe 'pooled' for these features: .* take exact"):
        chosen(10, name="pooled", grid=(1, 512))
    assert chosen(10**6, grid=(12, 4)).name == "exact", "no square grid, no codes"


@pytest.mark.parametrize(("size", "text"), [(0, "0MB"), (1, "1MB"), (1 << 20, "1MB"), ((1 << 20) + 1, "2MB")])
def test_what_is_said_of_memory_is_enough(size, text):
    assert megabytes(size) == text


def test_what_does_not_fit_says_what_would():
    few = {"count": 10**6, "cells": 256, "channels": 4, "recall": 0.95}
    with pytest.raises(EngineError, match=r"recall 1\), or another `recipe`$"):
        choose(recipes(**few), 10**6, 0.95, 1 << 28, "exact")
    with pytest.raises(EngineError, match=r"recall 1\), or a lower `recall`, or another `recipe`$"):
        choose(recipes(**few), 10**6, 0.999, 1 << 28)
    with pytest.raises(EngineError, match=r"at least 4883MB \(recipe exact, recall 1\)$"):
        choose(recipes(**few), 10**6, 0.95, 1 << 20, "exact")


@pytest.mark.parametrize(("count", "lists"), [(3, 0), (4, 2), (1000, 16), (10**6, 512), (10**7, 2048), (10**9, 2048)])
def test_there_are_about_as_many_lists_as_the_square_root_of_the_photos(count, lists):
    made = [one.lists for one in recipes(count, *FILL, 0.95) if one.name == "lists"]
    assert made == ([lists] if lists else [])
