"""Visitors of the app from other machines, for tests of who sees and changes what."""

from __future__ import annotations

import hashlib

from streamlit.testing.v1 import AppTest

from tests.helpers.pages import opened_page
from ui.shared import frame, visitor

ANNA, BOB = "anna" * 8, "bobb" * 8  # keys, as their cookies hold them


def owner(key: str) -> str:
    """Return what a visitor's runs and datasets record."""
    return hashlib.sha256(key.encode()).hexdigest()


def open_page(page: frame.Page, key: str, *, local: bool = False, **query: str) -> AppTest:
    """Open a page in a new session of the visitor with this key, as the browser would after a reload."""
    return opened_page(page, query, 60, {visitor.KEY: key, visitor.LOCAL: local})


def texts(app: AppTest) -> str:
    """Return everything that a page says, its buttons, lists and tables included."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.error, app.warning, app.info, app.code, app.html)
    said = [str(element.value) for elements in (*kinds, app.table, app.dataframe) for element in elements]
    listed = [
        str(option) for elements in (app.selectbox, app.multiselect) for box in elements for option in box.options
    ]
    listed += [str(option) for group in app.segmented_control for option in group.options]
    shown = [str(metric.value) for metric in app.metric] + [bar.text for bar in app.progress]
    return "\n".join([*said, *listed, *shown, *labels(app)]).replace("\\", "")


def labels(app: AppTest) -> set[str]:
    """Return the labels of a page's buttons."""
    return {entry.label.replace("\\", "") for entry in app.button}


def button(app: AppTest, label: str):
    """Return a button by its label."""
    return next(entry for entry in app.button if entry.label.replace("\\", "") == label)
