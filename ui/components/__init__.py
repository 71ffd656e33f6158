"""Streamlit components (v2) of our own: each is a Python file with its HTML, CSS and JavaScript beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parent


def register(name: str, *, css: str = "") -> Any:
    """Register the component `name` from the files of that name in this folder; `css` goes before its own rules."""
    html, rules, script = ((_FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return st.components.v2.component(name, html=html, css=css + rules, js=script)


def element_key(name: str, key: str) -> str:
    """Return a key for a component that is a CSS class as it stands, whatever `key` holds."""
    return f"{name.replace('_', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
