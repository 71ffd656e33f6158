"""The visitor's key: made once for a browser, taken from its cookie later, and never shown."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ui.shared import visitor

OWN = "http://localhost:8501"


def _page() -> None:
    import streamlit as st

    from ui.shared import visitor

    visitor.recognize()
    st.text(visitor.owner())


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch):
    """Let the next sessions come from a browser with this cookie, these headers and this address."""

    def come(cookie: str | None = None, ip: str | None = None, **headers: str) -> None:
        found = {name.replace("_", "-"): value for name, value in headers.items()}
        cookies = {} if cookie is None else {visitor.COOKIE: cookie}
        monkeypatch.setattr(st, "context", SimpleNamespace(cookies=cookies, headers=found, ip_address=ip))

    return come


def key_of(app: AppTest) -> str:
    return app.session_state[visitor.KEY]


def test_two_new_browsers_have_different_keys_and_a_rerun_keeps_them() -> None:
    first, second = AppTest.from_function(_page).run(), AppTest.from_function(_page).run()
    assert not first.exception
    kept = key_of(first)
    assert kept != key_of(second)
    assert first.text[0].value != second.text[0].value
    assert key_of(first.run()) == kept


def test_a_browser_that_comes_back_is_recognized_by_its_cookie(connect) -> None:
    known = key_of(AppTest.from_function(_page).run())
    connect(known)
    assert key_of(AppTest.from_function(_page).run()) == known


@pytest.mark.parametrize("cookie", ["", "short", "a" * 31, "a" * 33, 'a"; alert(1); //' + "a" * 17, "a" * 31 + "\n"])
def test_a_cookie_of_another_form_is_replaced(connect, cookie: str) -> None:
    connect(cookie)
    key = key_of(AppTest.from_function(_page).run())
    assert key != cookie
    assert len(key) == 32


def test_what_is_stored_with_a_run_does_not_contain_the_key() -> None:
    app = AppTest.from_function(_page).run()
    assert key_of(app) not in app.text[0].value
    assert len(app.text[0].value) == 64


@pytest.mark.parametrize(
    ("local", "ip", "headers"),
    [
        (True, None, {"Origin": OWN}),
        (True, None, {"Origin": "http://[::1]:8501"}),
        (False, "192.168.1.7", {"Origin": OWN}),  # a browser elsewhere that claims to be here
        (False, None, {"Origin": "https://unet.example.org"}),  # through a proxy on this machine
        (False, None, {"Origin": OWN, "X_Forwarded_For": "203.0.113.9"}),
        (False, None, {"Host": "localhost:8501"}),  # no browser
        (False, None, {"Origin": "http://[broken"}),
    ],
)
def test_only_a_browser_on_this_machine_is_local(connect, local: bool, ip: str | None, headers: dict) -> None:
    connect(None, ip, **headers)
    assert AppTest.from_function(_page).run().session_state[visitor.LOCAL] is local
