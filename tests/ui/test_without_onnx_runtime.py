"""A server on which ONNX Runtime cannot be imported: every page is up and says what is missing."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ui.shared import frame
from unet_core.explain import probe
from unet_core.segment import engine
from unet_core.settings import ROOT


@pytest.fixture(autouse=True)
def _without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data", "runs", "cache", "datasets"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # makes the import fail
    monkeypatch.setattr(engine, "_engines", OrderedDict())  # those of other tests
    monkeypatch.setattr(probe, "_probes", probe.Opened(probe.Probe, probe.MAX_SESSIONS))
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.mark.parametrize(
    ("page", "query"),
    [
        (frame.HOME, {}),
        (frame.SEGMENT, {"sample": "cat"}),
        (frame.ARCHITECTURE, {"preset": "pets_fast", "tab": "Feature maps"}),
    ],
)
def test_the_page_is_up_and_names_onnx_runtime(page: frame.Page, query: dict[str, str]) -> None:
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=60)
    if page is not frame.HOME:
        app.switch_page(page.script)
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    shown = " ".join(str(entry.value) for kind in (app.error, app.warning, app.caption) for entry in kind)
    assert "ONNX Runtime cannot be imported" in shown.replace("\\", "")
