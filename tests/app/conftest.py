"""A headless Chromium for the tests of pages, and pages that Gradio serves to it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when Gradio is imported

import numpy as np
import pytest
from painter_hand import MASKED, PHOTO, Hand
from ports import free_port

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gradio, in the threads of a page's server, warns of itself; elsewhere warnings are errors."""
    for item in items:
        if item.get_closest_marker("web"):
            item.add_marker(pytest.mark.filterwarnings("ignore::DeprecationWarning"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium ($CERET_CHROMIUM, or that of the system); the test skips without it."""
    path = os.environ.get("CERET_CHROMIUM") or shutil.which("chromium")
    if not path or not os.access(path, os.X_OK):
        pytest.skip("no Chromium: install the system's package chromium, or set CERET_CHROMIUM")
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """One browser for all tests of a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield opened
        opened.close()


@contextlib.contextmanager
def guarded_windows(browser: Any) -> Iterator[Callable[..., Any]]:
    """Give a function that opens an address in a window of its own: (url, **options of the window) -> Playwright's page.

    At the end it fails if a page asked another machine for anything, or if a script of it failed.
    """
    faults: list[str] = []
    with contextlib.ExitStack() as closing:

        def opened(url: str, **options: Any) -> Any:
            context = browser.new_context(**options)
            closing.callback(context.close)
            context.set_default_timeout(20_000)

            def guarded(route: Any) -> None:
                address = urlsplit(route.request.url)
                if address.scheme in ("data", "blob") or address.hostname == "127.0.0.1":
                    route.continue_()
                else:
                    faults.append(f"a request to {route.request.url}")
                    route.abort()

            context.route("**/*", guarded)
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(url)
            return page

        yield opened
    assert not faults


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """The function of `guarded_windows`, for one test."""
    with guarded_windows(browser) as opened:
        yield opened


@pytest.fixture(scope="module")
def open_shared_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """The function of `guarded_windows`, for all tests of a file."""
    with guarded_windows(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., str]]:
    """A function that serves Blocks until the tests end: (blocks, folder with files to give out) -> its address."""
    pytest.importorskip("gradio", reason="gradio is not installed: pip install 'ceret[web]'")
    with contextlib.ExitStack() as closing:

        def served(blocks: Any, folder: Path) -> str:
            _, address, _ = blocks.launch(
                server_name="127.0.0.1",
                server_port=free_port(),  # Gradio's own search leaves a socket open for each port that is taken
                allowed_paths=[str(folder)],
                prevent_thread_lock=True,
                quiet=True,
            )
            closing.callback(blocks.close)
            return address

        yield served


@pytest.fixture(scope="module")
def site(serve: Callable[..., str], bundled_photos: list, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The address of a page with two painters, and the folder with what it was sent."""
    from painter_page import painter_page

    folder = tmp_path_factory.mktemp("painter")
    coffee = bundled_photos[2]
    mask = np.zeros(MASKED, bool)
    mask[20:50, 30:70] = True
    photos = {"coffee": coffee, "masked": coffee[90:180, :120], "wide": coffee[:100]}
    photos["large"] = np.kron(coffee, np.ones((4, 4, 1), np.uint8))
    return serve(painter_page(folder, photos, {"masked": mask}), folder), folder


@pytest.fixture(scope="module")
def window(open_shared_page: Callable[..., Any], site: tuple[str, Path]) -> Any:
    return open_shared_page(site[0], viewport={"width": 1000, "height": 900})


@pytest.fixture
def hand(window: Any, site: tuple[str, Path]) -> Hand:
    """The left painter with a photo of 600x400 and nothing painted, as large as the window allows, its brush chosen."""
    made = Hand(window, site[1])
    made.show("coffee", PHOTO)
    made.click("brush")
    return made
