"""The visitor's cookie in a real browser."""

from __future__ import annotations

import pytest

from ui.shared import visitor

pytestmark = pytest.mark.browser


def _cookie(page) -> dict:
    page.get_by_role("heading", name="Results").first.wait_for()
    page.wait_for_function(f"document.cookie.includes('{visitor.COOKIE}=')")
    return next(cookie for cookie in page.context.cookies() if cookie["name"] == visitor.COOKIE)


def test_a_browser_keeps_its_key_and_another_has_its_own(visit) -> None:
    page = visit("Results")
    first = _cookie(page)
    assert (first["sameSite"], first["path"]) == ("Strict", "/")
    page.reload()
    assert _cookie(page)["value"] == first["value"]
    assert first["value"] not in page.inner_text("body")
    assert _cookie(visit("Results"))["value"] != first["value"]
