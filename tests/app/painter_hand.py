"""What a person does with a painter in a page, by Playwright."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PHOTO, MASKED = (400, 600), (90, 120)  # shapes of the photo that is painted on, and of that with a mask

# The photo's pixels whose centres show red, as text of 0 and 1.
SHOWN_HOLE = """(element, [width, height]) => {
  const stage = element.querySelector('[data-part=stage]'), canvas = element.querySelector('canvas.hole');
  const { zoom, x, y } = stage.dataset, ratio = canvas.width / stage.clientWidth;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const at = (place, offset) => Math.floor((Number(offset) + (place + 0.5) * Number(zoom)) * ratio);
      const k = 4 * (at(row, y) * canvas.width + at(column, x));
      text += pixels.data[k + 3] > 64 && pixels.data[k + 1] < 128 ? 1 : 0;
    }
  return text;
}"""


class Hand:
    """One painter (`left` or `right`) of the page that `painter_page` makes."""

    def __init__(self, page: Any, folder: Path, side: str = "left") -> None:
        self.page, self.folder, self.side = page, folder, side
        self.root = page.locator(f"#{side}-painter")
        self.stage = self.root.locator("[data-part=stage]")
        self.shape = (0, 0)

    def field(self, name: str) -> Any:
        return self.page.locator(f"#{self.side}-{name}").locator("textarea, input").first

    def push(self, name: str) -> None:
        """Click a button of the page, wherever it is, as soon as it is there: Gradio shows parts as their scripts arrive."""
        self.page.locator(f"#{self.side}-{name}").dispatch_event("click")

    def show(self, name: str, shape: tuple[int, int]) -> None:
        """Show a photo that the page knows, of this size, with nothing painted."""
        self.shape = shape
        self.field("photo").fill(name)
        with self.page.expect_response("**/*.png?*"):
            self.push("show")
        self.page.wait_for_selector(f"#{self.side}-painter [data-state=shown]")
        self.settle()

    def settle(self) -> None:
        """Wait until all that was done is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The place in the window of a place in the photo."""
        zoom, left, top = (float(self.stage.get_attribute(f"data-{name}")) for name in ("zoom", "x", "y"))
        box = self.stage.bounding_box()
        return box["x"] + 1 + left + x * zoom, box["y"] + 1 + top + y * zoom  # 1: its border

    def drag(self, *points: tuple[float, float], button: str = "left") -> None:
        """Draw with the mouse through these places of the photo."""
        self.stage.scroll_into_view_if_needed()
        places = [self.place(*point) for point in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down(button=button)
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up(button=button)
        self.settle()

    def press(self, *keys: str) -> None:
        """Press keys where one paints."""
        self.stage.focus()
        for key in keys:
            self.page.keyboard.press(key)
        self.settle()

    def click(self, name: str) -> None:
        """Click a tool or command by its name."""
        self.root.locator(f"button[data-tool={name}], button[data-command={name}]").click()
        self.settle()

    def status(self) -> str:
        return self.root.locator("[role=status]").inner_text()

    def actions(self) -> list[dict[str, Any]]:
        """What was painted, as the server gets it."""
        self.answer()
        painting = json.loads((self.folder / f"{self.side}.json").read_text())
        assert painting["size"] == [self.shape[1], self.shape[0]]
        return painting["actions"]

    def answer(self) -> str:
        """Send the painting, and return what the server says."""
        field = self.field("answer")
        before = field.input_value()
        self.push("send")
        self.page.wait_for_function(
            "([id, before]) => ![before, ''].includes(document.querySelector(id + ' textarea, ' + id + ' input').value)",
            arg=[f"#{self.side}-answer", before],
        )
        return field.input_value()

    def hole(self) -> np.ndarray:
        """The hole that the server makes of the painting: bool (H, W)."""
        answer = self.answer()
        assert answer.startswith(f"{self.shape[1]}x{self.shape[0]} "), answer
        return np.load(self.folder / f"{self.side}.npy")

    def shown_hole(self) -> np.ndarray:
        """The photo's pixels that the page shows in red: bool (H, W)."""
        self.settle()
        text = self.root.evaluate(SHOWN_HOLE, [self.shape[1], self.shape[0]])
        return (np.frombuffer(text.encode(), np.uint8) == ord("1")).reshape(self.shape)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The intersection of two holes over their union."""
    return float(np.sum(one & other) / np.sum(one | other))
