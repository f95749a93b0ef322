"""A served page for tests, and a tab of a browser that speaks to it without one."""

from __future__ import annotations

import contextlib
import gc
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ports import free_port

from ce_retrieval.app.server import served
from ce_retrieval.app.settings import AppSettings

# Gradio, in the threads of its server, warns of itself and leaves sockets and event loops open.
GRADIOS_OWN = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "ResourceWarning", "pytest.PytestUnraisableExceptionWarning")
]
QUICK = {"rerank": "rim", "aligned": 8, "kind": "none", "places": "none"}


@contextlib.contextmanager
def page_of(*indexes: Path, auth: Any = None, report: Path | None = None, **settings: Any) -> Iterator[Tab]:
    """Serve a page with these settings, and yield a tab of it."""
    chosen = AppSettings(port=free_port(), **settings)
    with served(list(indexes), chosen, auth=auth, report=report) as address, httpx.Client(base_url=address) as client:
        yield Tab(client)
    gc.collect()  # what Gradio leaves open is not to be found by a later test


class Tab:
    """A tab of a browser: it sends what Gradio's own script would.

    Attributes
    ----------
    client : for requests of any kind.
    name : that Gradio knows the tab by.
    """

    def __init__(self, client: httpx.Client) -> None:
        client.timeout = httpx.Timeout(60)
        self.client, self.name = client, secrets.token_hex(6)
        self._config: Any = None

    def another(self) -> Tab:
        """Another tab of the same page."""
        return Tab(self.client)

    def another_call(self, name: str) -> list[Any]:
        """Let an event of this tab happen while another one is under way."""
        return _While(self).call(name)

    @property
    def config(self) -> Any:
        """The page's components and events."""
        if self._config is None:
            self._config = self.client.get("/config").raise_for_status().json()
        return self._config

    def component(self, elem_id: str) -> int:
        """The number of a component."""
        (found,) = [one["id"] for one in self.config["components"] if one["props"].get("elem_id") == elem_id]
        return found

    def send(self, data: bytes, name: str) -> str:
        """Upload a file; return where it lies on the server."""
        (path,) = self.client.post("/gradio_api/upload", files={"files": (name, data)}).raise_for_status().json()
        return path

    def choose(self, data: bytes, name: str = "beach.png") -> list[Any]:
        """Choose a photo, as the page's drop zone does; return what the page shows."""
        return self.call("choose", json.dumps({"path": self.send(data, name), "name": name}))

    def call(self, name: str, *data: Any, event: Any = None, number: int = 0) -> list[Any]:
        """Let an event happen; return the values of its outputs, None for each that stays.

        AssertionError with the message, where the page shows an error.
        """
        states = self.states(name, *data, event=event, number=number)
        last: dict[int, Any] = {}
        for values in states:
            last.update({place: value for place, value in enumerate(values) if not _skipped(value)})
            count = len(values)
        return [last.get(place) for place in range(count)]

    def states(self, name: str, *data: Any, event: Any = None, number: int = 0) -> Iterator[list[Any]]:
        """Let an event happen; yield the values of its outputs each time that the page shows others."""
        found = [one for one in self.config["dependencies"] if one["api_name"] in (name, f"{name}_{number}")]
        about = found[number]
        body = {"data": list(data), "fn_index": about["id"], "session_hash": self.name, "event_data": event}
        if about["queue"] is False:
            yield self.client.post("/gradio_api/run/predict", json=body).raise_for_status().json()["data"]
            return
        joined = self.client.post("/gradio_api/queue/join", json={**body, "trigger_id": about["targets"][0][0]})
        assert joined.status_code == 200, joined.text
        shown: list[Any] = []
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.name}) as stream:
            for text in stream.iter_lines():
                if not text.startswith("data:"):
                    continue
                message = json.loads(text[5:])
                if message.get("event_id") != joined.json()["event_id"]:
                    continue
                if message["msg"] not in ("process_generating", "process_completed"):
                    continue
                output = message["output"]
                assert message["success"], output.get("error")
                if message["msg"] == "process_generating" and shown:
                    shown = [_patched(old, new) for old, new in zip(shown, output["data"], strict=True)]
                elif output["data"]:
                    shown = output["data"]
                yield shown
                if message["msg"] == "process_completed":
                    return


class _While(Tab):
    """The same tab, by another connection."""

    def __init__(self, tab: Tab) -> None:
        super().__init__(httpx.Client(base_url=tab.client.base_url))
        self.name, self._config = tab.name, tab.config


def _skipped(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update" and len(value) == 1


def _patched(old: Any, changes: Any) -> Any:
    """Apply the differences that Gradio sends of a value."""
    value = json.loads(json.dumps(old))
    for action, path, new in changes:
        if not path:
            value = new if action == "replace" else (value or "") + new
            continue
        place = value
        for key in path[:-1]:
            place = place[key]
        if action == "delete":
            del place[path[-1]]
        elif action == "append":
            place[path[-1]] += new
        elif action == "add" and isinstance(place, list):
            place.insert(path[-1], new)
        else:
            place[path[-1]] = new
    return value


def fetched(tab: Tab, shown: Any) -> bytes:
    """Return the content of a file that the page shows."""
    value = shown.get("value", shown) if isinstance(shown, dict) else shown
    url = value["url"]
    return tab.client.get(url[url.index("/gradio_api") :]).raise_for_status().content
