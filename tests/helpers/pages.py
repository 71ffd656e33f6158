"""Pages opened as visitors do, and the README's own commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from streamlit.testing.v1 import AppTest

from ui.shared import frame
from unet_core.settings import ROOT


def opened_page(page: frame.Page, query: Mapping[str, str], timeout: float, state: Mapping[str, Any] = {}) -> AppTest:
    """Open a page by its address in a new session, which has a `state` already; fails if the page does."""
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=timeout)
    for key, value in state.items():
        app.session_state[key] = value
    app.switch_page(page.script)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def readme_block(mark: str) -> str:
    """Return the block of code that follows a mark in the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(rf"<!-- {mark} -->\n```\w+\n(.*?)```", text, flags=re.DOTALL)
    assert block is not None, f"README.md has no <!-- {mark} -->"
    return block[1]
