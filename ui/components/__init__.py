"""The app's own Streamlit components (v2): each is a Python file with HTML, CSS and JavaScript files of its name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from streamlit.components.v2 import component

_FOLDER = Path(__file__).parent


def register(name: str, *, css: str = "") -> Any:
    """Register the component `name` from its files in this folder; `css` is put before its own rules."""
    html, rules, script = ((_FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    return component(name, html=html, css=css + rules, js=script)


def element_key(name: str, key: str) -> str:
    """Return a key that is also a valid CSS class, whatever `key` contains."""
    return f"{name.replace('_', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
