"""Shapes in the painter, and what changes the whole hole, in a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from painter_hand import overlap

pytestmark = pytest.mark.web


def test_an_ellipse_by_the_keyboard_alone(hand):
    hand.press("c", "Enter")
    (first,) = hand.actions()
    assert first["kind"] == "ellipse" and np.allclose(
        np.add(first["box"][:2], first["box"][2:]) / 2, [300, 200], atol=0.1
    )
    hand.press("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp", "Alt+ArrowLeft")
    (moved,) = hand.actions()
    step = 10 / float(hand.stage.get_attribute("data-zoom"))
    (x0, y0, x1, y1), (a0, b0, a1, b1) = first["box"], moved["box"]
    assert np.allclose([a1 - a0, b1 - b0], [x1 - x0 + step, y1 - y0 + step], atol=0.05)
    assert np.allclose([a0 + a1, b0 + b1], [x0 + x1 + 4 * step - 2, y0 + y1 + 2 * step], atol=0.1)
    assert overlap(hand.hole(), hand.shown_hole()) > 0.98
    hand.press("Control+z")
    assert hand.actions() == [first]  # all the arrow keys together
    hand.press("Delete")
    assert hand.actions() == []


@pytest.mark.slow
def test_a_tool_button_pressed_by_the_keyboard_places_a_rectangle(hand):
    hand.root.locator("[data-tool=rectangle]").focus()
    for key in ("Enter", "ArrowUp", "Escape", "ArrowUp"):
        hand.page.keyboard.press(key)
    assert [action["kind"] for action in hand.actions()] == [
        "rectangle",
        "rectangle",
    ]  # done with one, the next is placed


@pytest.mark.slow
def test_shapes_are_dragged_moved_and_sized_with_the_mouse(hand):
    hand.click("rectangle")
    hand.drag((100, 100), (200, 180))
    assert hand.hole().sum() == pytest.approx(100 * 80, rel=0.05)
    hand.drag((150, 140), (250, 160))  # by its middle
    assert np.allclose(hand.actions()[0]["box"], [200, 120, 300, 200], atol=1.5)
    hand.drag((300, 200), (330, 260))  # by its corner
    assert np.allclose(hand.actions()[0]["box"], [200, 120, 330, 260], atol=3)
    hand.root.locator("[data-part=take-away]").check()
    hand.drag((400, 50), (500, 80))
    assert [action["erase"] for action in hand.actions()] == [True, True]
    hand.root.locator("[data-part=take-away]").uncheck()


@pytest.mark.slow
def test_invert_grow_shrink_and_clear(hand):
    hand.drag((300, 200), (301, 200))
    spot = hand.hole()
    radius = np.sqrt(spot.sum() / np.pi)
    hand.click("grow")
    hand.press("g", "g")
    _, grow = hand.actions()
    assert grow["kind"] == "grow" and grow["pixels"] == 6  # three presses of 2 px: one action
    grown = hand.hole()
    assert np.sqrt(grown.sum() / np.pi) == pytest.approx(radius + 6, abs=0.7)
    assert overlap(grown, hand.shown_hole()) > 0.98
    hand.press("s")
    assert hand.hole().sum() < grown.sum() and overlap(hand.hole(), hand.shown_hole()) > 0.98
    smaller = hand.hole()
    hand.press("i")
    inverted = hand.hole()
    assert np.array_equal(inverted, ~smaller) and overlap(inverted, hand.shown_hole()) > 0.98
    hand.press("Control+z")
    assert np.array_equal(hand.hole(), smaller)
    hand.click("clear")
    assert not hand.hole().any() and hand.root.locator("[data-command=grow]").is_disabled()
    hand.press("i")
    assert hand.hole().all()
    hand.page.wait_for_timeout(250)
    assert hand.status() == "Hole of all of the photo."
