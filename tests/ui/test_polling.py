"""A part of a page that polls: drawn while there is something to wait for, then the whole page runs once."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ui.shared import polling

UI = Path(polling.__file__).parent.parent


def page() -> None:
    import streamlit as st

    from ui.shared import polling

    state = st.session_state
    state.runs = state.get("runs", 0) + 1
    if state.get("left", 1) <= 0:
        st.write("ended")
        return

    def ended() -> bool:
        state.left = state.get("left", state.steps) - 1
        return state.left <= 0

    polling.poll(lambda: st.caption("waiting"), ended=ended)
    st.write("beside")


def test_a_wait_is_shown_beside_the_rest_of_the_page():
    app = AppTest.from_function(page, default_timeout=60)
    app.session_state.steps = 5
    app.run()
    assert not app.exception
    assert [element.value for element in app.caption] == ["waiting"]
    assert [element.value for element in app.markdown] == ["beside"]
    assert app.session_state.runs == 1


def test_the_whole_page_runs_once_when_the_wait_has_ended():
    app = AppTest.from_function(page, default_timeout=60)
    app.session_state.steps = 1
    app.run()
    assert not app.exception
    assert not app.caption
    assert [element.value for element in app.markdown] == ["ended"]
    assert app.session_state.runs == 2


def test_where_there_is_nothing_to_wait_for_nothing_polls(monkeypatch: pytest.MonkeyPatch):
    intervals, drawn = [], []
    monkeypatch.setattr(st, "fragment", lambda run_every: intervals.append(run_every) or (lambda function: function))
    for every in (None, polling.SOON):
        polling.poll(lambda: drawn.append(1), ended=lambda: False, every=every)
    polling.poll(lambda: drawn.append(1), ended=lambda: False)
    assert intervals == [None, polling.SOON, polling.STEADY]
    assert len(drawn) == 3


def test_no_page_polls_by_itself():
    polls = [path for path in UI.rglob("*.py") if "run_every" in path.read_text(encoding="utf-8")]
    assert polls == [Path(polling.__file__)]
