"""Results in memory: as many as there is room for, and only for as long as somebody holds them."""

import gc
import weakref

import numpy as np

from ce_retrieval.app.shelf import Made, Shelf
from ce_retrieval.completion.result import Completion
from ce_retrieval.photos import load_photo, save_photo


def test_the_oldest_goes_first_and_what_nobody_holds_goes_at_once(tmp_path):
    pixels = np.zeros((20, 20, 3), np.uint8)
    save_photo(tmp_path / "a.png", pixels)
    photo = load_photo(tmp_path / "a.png")

    def made(taking=lambda done, pick: done):
        return Made(Completion(pixels, np.zeros((20, 20), bool), None, "scenes", taking=taking), photo, ())

    assert made().size == 20 * 20 * 7
    shelf = Shelf(3 * made().size)
    places = [shelf.put(made()) for _ in range(4)]
    assert [place.made is not None for place in places] == [False, True, True, True]
    results = [weakref.ref(place.made.result) for place in places[1:]]
    del places[1:3]
    gc.collect()
    assert [one() is not None for one in results] == [False, False, True]
    places += [shelf.put(made()) for _ in range(2)]
    assert all(place.made for place in places[1:]), "there is room again"
    assert Shelf(100).put(made()).made is None and shelf.put(made(taking=None)).made is None
