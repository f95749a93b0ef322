"""The painter in a real browser: what is drawn arrives at the server as the same hole that the page shows."""

from __future__ import annotations

import numpy as np
import pytest
from painter_hand import MASKED, PHOTO, Hand, overlap

pytestmark = pytest.mark.web


def test_a_stroke_arrives_as_it_is_shown(hand):
    assert hand.status() == "Nothing painted yet."
    hand.drag((100, 100), (300, 150), (200, 300))
    hole = hand.hole()
    (action,) = hand.actions()
    assert action["kind"] == "brush" and 8 < action["radius"] < 60
    assert np.allclose([action["points"][0], action["points"][-1]], [[100, 100], [200, 300]], atol=1)
    assert hole[100, 100] and hole[150, 300] and hole[300, 200] and hole[125, 200] and not hole[300, 350]
    assert overlap(hole, hand.shown_hole()) > 0.98
    hand.page.wait_for_timeout(250)
    assert hand.status() == f"Hole of {100 * hole.mean():.0f} % of the photo."


@pytest.mark.slow
def test_the_eraser_takes_away_and_the_brush_size_is_in_screen_pixels(hand):
    hand.drag((100, 200), (400, 200))
    hand.press("e", *["["] * 5)
    size = float(hand.root.locator("[data-part=size]").input_value())
    hand.drag((250, 100), (250, 300))
    brush, eraser = hand.actions()
    assert eraser["kind"] == "eraser" and eraser["radius"] < brush["radius"] / 2
    zoom = float(hand.stage.get_attribute("data-zoom"))
    assert eraser["radius"] == pytest.approx(size / 2 / zoom, abs=0.01)
    hole = hand.hole()
    assert hole[200, 200] and not hole[200, 250] and overlap(hole, hand.shown_hole()) > 0.98
    hand.press("b", "]", "]")
    assert float(hand.root.locator("[data-part=size]").input_value()) > size


@pytest.mark.slow
def test_undo_and_redo_by_keys_and_buttons(hand):
    hand.drag((100, 100), (150, 100))
    one = hand.hole()
    hand.drag((300, 300), (350, 300))
    two = hand.hole()
    hand.press("Control+z")
    assert np.array_equal(hand.hole(), one) and overlap(one, hand.shown_hole()) > 0.98
    hand.press("Control+Shift+z")
    assert np.array_equal(hand.hole(), two)
    hand.click("undo")
    hand.click("undo")
    assert not hand.hole().any() and hand.root.locator("[data-command=undo]").is_disabled()
    hand.click("redo")
    hand.press("Control+y")
    assert np.array_equal(hand.hole(), two) and hand.root.locator("[data-command=redo]").is_disabled()
    hand.click("undo")
    hand.drag((500, 50), (520, 50))  # what was undone is gone
    assert len(hand.actions()) == 2 and hand.root.locator("[data-command=redo]").is_disabled()


def test_what_is_painted_after_zooming_and_panning_lands_there(hand):
    before = float(hand.stage.get_attribute("data-zoom"))
    hand.page.mouse.move(*hand.place(450, 100))
    hand.page.mouse.wheel(0, -900)
    hand.settle()
    zoom = float(hand.stage.get_attribute("data-zoom"))
    assert zoom > 3 * before
    hand.drag((440, 100), (460, 110))
    (stroke,) = hand.actions()
    assert np.allclose([stroke["points"][0], stroke["points"][-1]], [[440, 100], [460, 110]], atol=0.5)
    # By the middle button, by the tool, and by space: the photo moves, nothing is painted.
    for how in ("middle", "hand", "space"):
        left = float(hand.stage.get_attribute("data-x"))
        if how == "hand":
            hand.press("h")
        if how == "space":
            hand.press("b")
            hand.page.keyboard.down(" ")
        hand.drag((460, 100), (440, 100), button="middle" if how == "middle" else "left")
        hand.page.keyboard.up(" ")
        assert float(hand.stage.get_attribute("data-x")) == pytest.approx(left - 20 * zoom, abs=2)
    hand.drag((480, 120), (490, 120))
    assert len(hand.actions()) == 2
    hand.click("fit")
    assert float(hand.stage.get_attribute("data-zoom")) == before
    assert overlap(hand.hole(), hand.shown_hole()) > 0.9  # two strokes of a few pixels


@pytest.mark.slow
def test_the_page_scrolls_where_the_whole_photo_is_shown(hand):
    hand.page.mouse.move(*hand.place(300, 200))
    hand.page.mouse.wheel(0, 300)
    hand.page.wait_for_function("() => scrollY > 0")
    hand.page.evaluate("scrollTo(0, 0)")


def test_the_original_is_shown_while_a_key_or_the_button_is_held(hand):
    hand.drag((100, 100), (150, 100))
    canvas = hand.root.locator("canvas.hole")
    hand.page.keyboard.down("o")
    assert not canvas.is_visible()
    hand.page.keyboard.up("o")
    assert canvas.is_visible()
    box = hand.root.locator("[data-part=original]").bounding_box()
    hand.page.mouse.move(box["x"] + 9, box["y"] + 9)
    hand.page.mouse.down()
    assert not canvas.is_visible()
    hand.page.mouse.move(10, 10)
    hand.page.mouse.up()
    assert canvas.is_visible()
    hand.stage.focus()
    hand.page.keyboard.down("o")
    hand.field("photo").focus()  # the key goes up elsewhere
    assert canvas.is_visible()
    hand.page.keyboard.up("o")


@pytest.mark.slow
def test_keys_that_are_typed_into_other_fields_are_left_alone(hand):
    hand.drag((100, 100), (150, 100))
    hand.field("text").fill("")
    hand.field("text").press_sequentially("being oi[")
    assert hand.field("text").input_value() == "being oi["
    assert len(hand.actions()) == 1


def test_an_uploaded_mask_is_where_the_painting_begins(hand):
    hand.show("masked", MASKED)
    hole = hand.hole()
    assert hand.actions() == [{"kind": "mask"}] and hole[20:50, 30:70].all() and hole.sum() == 30 * 40
    assert overlap(hole, hand.shown_hole()) > 0.98
    hand.drag((100, 80), (105, 80))
    assert hand.hole().sum() > hole.sum() and overlap(hand.hole(), hand.shown_hole()) > 0.95
    hand.press("Control+z")
    assert np.array_equal(hand.hole(), hole)


@pytest.mark.slow
def test_what_is_painted_on_a_large_photo_is_shown_reduced(hand):
    hand.show("large", (1600, 2400))
    hand.drag((400, 400), (1200, 600), (800, 1200))
    hand.press("g", "g", "e")
    hand.drag((700, 300), (700, 1300))
    hand.press("s")
    assert [action["kind"] for action in hand.actions()] == ["brush", "grow", "eraser", "shrink"]
    assert hand.actions()[1]["pixels"] == 12
    assert overlap(hand.hole(), hand.shown_hole()) > 0.98


@pytest.mark.slow
def test_the_server_can_set_the_painting_and_show_no_photo(hand):
    hand.field("text").fill('{"size": [600, 400], "actions": [{"kind": "ellipse", "box": [100, 100, 300, 200]}]}')
    hand.push("set")
    hand.page.wait_for_selector("#left-painter [data-command=clear]:not(:disabled)")
    assert overlap(hand.hole(), hand.shown_hole()) > 0.98 and hand.hole().sum() == pytest.approx(15708, rel=0.01)
    hand.field("text").fill("")
    hand.push("set")
    hand.page.wait_for_selector("#left-painter [data-command=clear]:disabled")
    assert hand.actions() == []
    hand.field("photo").fill("")
    hand.push("show")
    hand.page.wait_for_selector("#left-painter [data-state=empty]")
    assert hand.root.get_by_text("Choose a photo to paint on").is_visible()
    assert hand.root.locator("button:not(:disabled)").count() == 0


@pytest.mark.slow
def test_another_photo_may_come_in_the_middle_of_a_stroke(hand):
    hand.page.mouse.move(*hand.place(100, 100))
    hand.page.mouse.down()
    hand.page.mouse.move(*hand.place(200, 100))
    hand.field("photo").evaluate("""field => {
      field.value = 'wide';
      field.dispatchEvent(new Event('input', { bubbles: true }));
    }""")
    with hand.page.expect_response("**/wide.png?*"):
        hand.push("show")
    hand.page.wait_for_selector("#left-painter [data-state=shown]")
    hand.page.mouse.move(300, 300)
    hand.page.mouse.up()
    hand.shape = (100, 600)
    assert hand.actions() == []
    hand.drag((100, 50), (200, 50))
    assert len(hand.actions()) == 1


@pytest.mark.parametrize("url", ["/gradio_api/file=/nowhere.png", "http://192.0.2.1/photo.png", "javascript:alert(1)"])
def test_a_photo_that_is_not_there_or_from_elsewhere_is_said(hand, url):
    hand.field("photo").fill(url)
    hand.push("show")
    hand.page.wait_for_selector("#left-painter [data-state=failed]")
    assert hand.status() == "The photo cannot be shown. Choose it again."


@pytest.mark.slow
def test_two_painters_do_not_disturb_each_other(hand, window, site):
    right = Hand(window, site[1], "right")
    right.show("wide", (100, 600))
    hand.drag((100, 100), (150, 100))
    right.drag((300, 50), (320, 60))
    right.press("i")
    assert len(hand.actions()) == 1 and len(right.actions()) == 2
    assert overlap(right.hole(), right.shown_hole()) > 0.98 and overlap(hand.hole(), hand.shown_hole()) > 0.98
    assert hand.page.evaluate("Object.keys(window).filter(name => /paint|hole|stage|brush/i.test(name))") == []


def test_a_finger_draws_and_two_fingers_zoom(open_page, site):
    page = open_page(
        site[0], viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    hand = Hand(page, site[1])
    hand.show("coffee", PHOTO)
    hand.root.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        places = [dict(zip("xy", place, strict=True), id=i) for i, place in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    fingers("touchStart", hand.place(100, 100))
    for x in range(120, 300, 20):
        fingers("touchMove", hand.place(x, 100))
    fingers("touchEnd")
    hand.settle()
    (stroke,) = hand.actions()
    assert np.allclose([stroke["points"][0], stroke["points"][-1]], [[100, 100], [280, 100]], atol=1.5)
    assert overlap(hand.hole(), hand.shown_hole()) > 0.97

    zoom = float(hand.stage.get_attribute("data-zoom"))
    middle = hand.place(300, 200)
    for i in range(6):
        near, far = (middle[0] - 30 - 8 * i, middle[1]), (middle[0] + 30 + 8 * i, middle[1])
        if i == 0:
            fingers("touchStart", near)
        fingers("touchStart" if i == 0 else "touchMove", near, far)
    fingers("touchEnd")
    hand.settle()
    assert float(hand.stage.get_attribute("data-zoom")) == pytest.approx(zoom * 70 / 30, rel=0.05)
    assert len(hand.actions()) == 1  # the first finger painted nothing
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
def test_a_pen_draws_and_the_palm_beside_it_does_not(hand):
    devices = hand.page.context.new_cdp_session(hand.page)

    def pen(kind: str, x: float, y: float) -> None:
        x, y = hand.place(x, y)
        held = {"button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": 0.4}
        devices.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **held})

    palm = dict(zip("xy", hand.place(450, 350), strict=True), id=7, radiusX=30, radiusY=40)
    pen("mousePressed", 100, 100)
    pen("mouseMoved", 150, 120)
    devices.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [palm]})
    pen("mouseMoved", 200, 100)
    devices.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    pen("mouseReleased", 200, 100)
    hand.settle()
    (stroke,) = hand.actions()
    assert np.allclose([stroke["points"][0], stroke["points"][-1]], [[100, 100], [200, 100]], atol=1)
    assert not hand.hole()[350, 450]
