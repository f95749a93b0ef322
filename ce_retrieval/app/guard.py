"""The door of the page: what requests may ask for, and which files they may name. What is not needed is refused.

Gradio has routes and forms of values that this page does not use, among them some that fetch addresses of the internet, or read
files by their path. They are refused before Gradio sees them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

from ce_retrieval.app.home import Home

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
MOST_JSON = 12 << 20  # bytes of a request that is not an upload: strokes are the longest
MOST_DEPTH = 12  # of the values in a request

#: Routes that the page and its API use, by method.
_OPEN = {
    "GET": re.compile(
        rf"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/logout|/login_check/?"
        rf"|/(?:assets|static|svelte)/[^?]*"
        rf"|{API}/(?:info/?|app_id/?|user/?|login_check/?|startup-events|theme\.css|queue/data|queue/status|upload_progress"
        rf"|heartbeat/[^/]+|call/[^/]+/[^/]+|openapi\.json|file=.*)"
    ),
    "POST": re.compile(
        rf"/login/?|{API}/(?:queue/join/?|upload/?|cancel|reset/?|call/[^/]+/?|call/v2/[^/]+/?|run/[^/]+/?|api/[^/]+/?)"
    ),
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; connect-src 'self'; "
        "frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Door:
    """Middleware (ASGI) that lets through what the page needs.

    Parameters
    ----------
    app : what comes behind.
    home : whose `served` folder may be read.
    max_upload : most bytes of a file that is uploaded.
    private : only this machine reaches the server, so that any other name for it in a request is a trick of a web site
        (DNS rebinding).
    """

    def __init__(self, app: Any, home: Home, max_upload: int, private: bool) -> None:
        self._app, self._home, self._max_upload, self._private = app, home, max_upload, private

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with an error."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is not None:
            await _answer(send, *refused)
            return
        upload = scope["path"].rstrip("/") == UPLOAD
        most = self._max_upload + (1 << 16) if upload else MOST_JSON
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > most:
            await _answer(send, 413, "This is larger than what is taken here.")
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:  # it had no length, or a wrong one
                return {"type": "http.disconnect"}
            return message

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                more = [(k.encode(), v.encode()) for k, v in _HEADERS.items() if k.encode() not in names]
                message["headers"] = [*message["headers"], *more]
            await send(message)

        await self._app(scope, counted, headed)

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """Return status and text for a request that is refused, None for one that is let through."""
        method, path = scope["method"], scope["path"]
        if method == "HEAD":
            method = "GET"
        if method == "OPTIONS":
            return None
        if method not in _OPEN or not _OPEN[method].fullmatch(path):
            return 404, "There is nothing here."
        if path.startswith(FILE) and not self._home.is_served(path.removeprefix(FILE)):
            return 403, "This file is not for you."
        if self._private and not _is_local(dict(scope["headers"]).get(b"host", b"").decode("latin-1")):
            return (
                403,
                "This page is for this machine alone: open it as http://127.0.0.1, or start it with another --host.",
            )
        return None


def _is_local(host: str) -> bool:
    """Return whether a Host header names this machine itself."""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return name in ("localhost", "[::1]", "::1") or re.fullmatch(r"127(?:\.\d{1,3}){3}", name) is not None


async def _answer(send: Send, status: int, text: str) -> None:
    body = json.dumps({"detail": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def named_files(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield whatever in the values of a request could be taken for the path or address of a file.

    ValueError for values that lie too deep within each other.
    """
    if depth > MOST_DEPTH:
        raise ValueError("too deep")
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        elif "url" in value:
            yield value["url"]
        for one in value.values():
            yield from named_files(one, depth + 1)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from named_files(one, depth + 1)


def may_name(value: Any, home: Home) -> bool:
    """Return whether the values of a request name no file but those that are served."""
    try:
        return all(isinstance(path, str) and home.is_served(path) for path in named_files(value))
    except ValueError:
        return False
