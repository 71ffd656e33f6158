"""Pages with damaged runs: the list shows the others, and a damaged run's own page shows what can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.helpers.damage import damaged_copies
from tests.helpers.made_runs import made_run
from ui.shared import frame
from unet_core.settings import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setenv("UNET_RUNS_DIR", str(runs))
    for name in ("data", "datasets", "cache"):
        monkeypatch.setenv(f"UNET_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("UNET_WORKERS", "0")
    monkeypatch.setenv("UNET_SHARED", "true")  # the list of all runs
    monkeypatch.chdir(ROOT)
    whole = made_run(runs / "20260101-whole", name="Untouched", epochs=6)
    return damaged_copies(whole.path, runs)


def opened(page: frame.Page, **asked: str) -> AppTest:
    app = AppTest.from_file(str(ROOT / frame.HOME.script), default_timeout=120)
    app.switch_page(page.script)
    for name, value in asked.items():
        app.query_params[name] = value
    return app.run()


def test_the_list_shows_the_other_runs(copies):
    app = opened(frame.TRAIN)
    assert not app.exception
    names = app.dataframe[0].value["name"].tolist()
    assert "Untouched" in str(names)
    assert len(names) > len(copies) / 2


def test_the_models_on_offer_include_the_other_runs(copies):
    (copies["metrics.csv empty"].parent / "20260101-whole" / "exports" / "model.onnx").write_bytes(b"x")
    app = opened(frame.SEGMENT)
    assert not app.exception


@pytest.mark.slow
def test_every_damaged_runs_own_page_is_up(copies):
    for damage, path in list(copies.items())[::4]:
        app = opened(frame.TRAIN, run=path.name)
        assert not app.exception, f"{damage}: {app.exception[0].value}"
        shown = " ".join(str(entry.value) for kind in (app.warning, app.error, app.caption) for entry in kind)
        assert "Errno" not in shown
        assert str(path.parent) not in shown.replace("\\", "")
