"""The tab that shows the results of an evaluation (`ceret evaluate --out FOLDER`)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ce_retrieval.app.events import prepared
from ce_retrieval.app.services import Services
from ce_retrieval.errors import SettingsError
from ce_retrieval.own_files import RESULTS, is_own

TABLE, PAGE = "table.md", "report.html"  # as the evaluation has them, whose import takes long


def check_report(folder: Path) -> None:
    """Raise SettingsError unless a folder holds the results of an evaluation."""
    if (folder / RESULTS).is_file() and (folder / TABLE).is_file():
        return
    if is_own(page := folder / PAGE):
        raise SettingsError(
            f"`report` {folder} holds an experiment: open {page} in a browser, or give one of its evaluations"
        )
    raise SettingsError(f"`report` {folder} holds no results of an evaluation: give the --out of `ceret evaluate`")


class ReportTab:
    """The table and the sheets; read anew each time that the page is opened."""

    def __init__(self, gr: Any, services: Services, folder: Path) -> None:
        self._services, self._folder = services, folder
        prepared(gr, self.report)
        self._table = gr.Markdown("", elem_id="report-table", elem_classes="wide")
        self._sheets = gr.Gallery(
            label="Photos, their holes, and what each method made of them",
            columns=1,
            height="auto",
            object_fit="contain",
            elem_id="report-sheets",
            show_label=False,
            buttons=["fullscreen"],
        )

    def connect(self, page: Any) -> None:
        """Read the report when the page is opened."""
        page.load(self.report, None, [self._table, self._sheets], api_visibility="private", show_progress="hidden")

    def report(self, request: Any) -> tuple[str, list[str]]:
        """Return the table as Markdown, and the sheets."""
        session = self._services.sessions.of(request.session_hash)
        try:
            table = (self._folder / TABLE).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return "The results are no longer there.", []
        shown = []
        for sheet in sorted(self._folder.glob("sheet-[0-9][0-9].png")):
            if is_own(sheet):
                shown.append(str(shutil.copy(sheet, session.served / sheet.name)))
        table = re.sub(r"<!--.*?-->", "", table, flags=re.DOTALL)
        if self._services.settings.no_sources:
            table = re.sub(r"(?<!\w)/[^\s,;:|]+", "…", table)
        return table, shown
