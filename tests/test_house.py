"""The house as the README draws it: imports run one way, from lower packages of the tree to those above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from unet_core.settings import ROOT

MODULES = ["settings", "classes", "errors", "strict", "machine", "scores", "quiet_tensorflow"]


def packages() -> list[str]:
    """Return the library's packages in the order of the README's tree."""
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("unet_core/ ")[1].split("\nweights/")[0]
    return re.findall(r"^  (\w+)/ ", tree, flags=re.MULTILINE)


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_readme_names_every_package_and_module_of_the_library() -> None:
    folders = {path.parent.name for path in (ROOT / "unet_core").glob("*/__init__.py")}
    assert set(packages()) == folders
    assert {path.stem for path in (ROOT / "unet_core").glob("[a-z]*.py")} == set(MODULES)


@pytest.mark.parametrize("package", packages())
def test_a_package_imports_only_from_those_above_it(package: str) -> None:
    order = packages()
    allowed = {*MODULES, *order[: order.index(package) + 1]}
    for path in (ROOT / "unet_core" / package).rglob("*.py"):
        for name in imported(path):
            top, _, rest = name.partition(".")
            assert top not in ("ui", "streamlit"), path
            if top == "unet_core" and rest:
                found = rest.split(".")[0]
                assert found in allowed or found.startswith("_"), f"{path} imports {name}"


@pytest.mark.parametrize("page", ["home", "architecture", "segment", "train", "results", "data"])
def test_what_pages_share_imports_no_page(page: str) -> None:
    for folder in ("shared", "components"):
        for path in (ROOT / "ui" / folder).glob("*.py"):
            assert not any(name.startswith(f"ui.{page}.") for name in imported(path)), path
