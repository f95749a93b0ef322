"""Serving the page: from the command's settings to a running server, and to its orderly end."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ce_retrieval.app.collections import Collections
from ce_retrieval.app.filling import Filler
from ce_retrieval.app.guard import Door
from ce_retrieval.app.home import made_home
from ce_retrieval.app.page import build_page, looks
from ce_retrieval.app.report_tab import check_report
from ce_retrieval.app.services import Services
from ce_retrieval.app.sessions import Sessions
from ce_retrieval.app.settings import AppSettings
from ce_retrieval.app.web import gradio, without_servers
from ce_retrieval.app.work import Pool
from ce_retrieval.errors import SettingsError

SWEEP = 60.0  # s between two looks for files that are too old
REMEMBERED = 24  # browser tabs of which Gradio keeps copies of the components; the page itself does not read them


@contextlib.contextmanager
def served(
    indexes: Sequence[Path],
    settings: AppSettings | None = None,
    *,
    auth: tuple[str, str] | None = None,
    report: Path | None = None,
) -> Iterator[str]:
    """Serve the page while the block runs; yield its address.

    Parameters
    ----------
    indexes : paths of the indexes; none: the page fills without.
    settings : None for the defaults.
    auth : (user, password) that the page asks for; None: it is open.
    report : folder of an evaluation's results, which the page shows.

    Raises
    ------
    InstallationError : Gradio is missing.
    SettingsError : the port is in use, the address is not this machine's, or the report is none.
    CeretError : the errors of opening an index.

    Notes
    -----
    One page at a time in a process: Gradio takes the folder of uploads from the environment.
    """
    settings = settings or AppSettings()
    check_address(settings.host, settings.port)
    if report is not None:
        check_report(report)
    workers = max(1, (os.cpu_count() or 1) // settings.at_once)
    module = gradio()
    collections = Collections(indexes, workers)
    with (
        made_home() as home,
        _environment(GRADIO_TEMP_DIR=str(home.served), GRADIO_EXAMPLES_CACHE=str(home.served / "examples")),
    ):
        filler = Filler(collections, max_pixels=settings.max_pixels, no_sources=settings.no_sources)
        pool, sessions = Pool(settings.at_once, settings.waiting), Sessions(home, settings.kept_for)
        services = Services(settings, home, collections, filler, pool, sessions, report)
        with without_servers():
            page = build_page(module, services)
        ended = threading.Event()
        try:
            address = _launched(module, page, services, auth)
            threading.Thread(target=_sweeping, args=(sessions, settings.kept_for, ended), daemon=True).start()
            yield address
        finally:
            ended.set()
            pool.close()
            page.close(verbose=False)
            sessions.close()


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables of the environment for the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def check_address(host: str, port: int) -> None:
    """Raise SettingsError where a server could not listen."""
    try:
        family, kind, number, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, number) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(place)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(
                f"`port` {port} is in use by another program: choose another, as in {port + 1}"
            ) from error
        if error.errno == errno.EACCES:
            raise SettingsError(f"`port` {port} is not for you to listen on: choose one from 1024 on") from error
        raise SettingsError(
            f"`host` {host} is no address of this machine: leave it out, or give one that is"
        ) from error


def _launched(module: Any, page: Any, services: Services, auth: tuple[str, str] | None) -> str:
    """Start the server, and return its address."""
    from starlette.middleware import Middleware

    settings = services.settings
    door = Middleware(
        Door, home=services.home, max_upload=settings.max_upload, private=settings.is_private and auth is None
    )
    try:
        _, address, _ = page.launch(
            server_name=settings.host,
            server_port=settings.port,
            auth=[auth] if auth else None,
            auth_message="This page is for those who have its password.",
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            inbrowser=False,
            show_error=True,
            max_file_size=settings.max_upload,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            run_history=False,
            footer_links=["api"],
            state_session_capacity=REMEMBERED,
            allowed_paths=[],
            app_kwargs={"middleware": [door], "docs_url": None, "redoc_url": None, "openapi_url": None},
            **looks(module),
        )
    except OSError as error:  # another program was faster
        raise SettingsError(f"`port` {settings.port} is in use by another program: choose another") from error
    return str(address)


def _sweeping(sessions: Sessions, kept_for: float, ended: threading.Event) -> None:
    while not ended.wait(min(SWEEP, kept_for)):
        sessions.sweep()
