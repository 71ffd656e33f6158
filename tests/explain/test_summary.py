"""The summary against the table that Keras prints."""

from __future__ import annotations

import keras
import pytest

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.summary import model_summary
from unet_core.models import build

EFFICIENT = UNetConfig(height=64, width=64, depth=5, base_filters=8, encoder="efficientnet_b0")


def keras_summary(config: UNetConfig) -> str:
    lines: list[str] = []
    keras.backend.clear_session()
    build(config).summary(line_length=300, print_fn=lines.append)
    return "\n".join(lines)


def rows_and_totals(text: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """Return the table's rows, cells that Keras breaks over lines put together again, and the totals."""
    rows: list[tuple[str, ...]] = []
    begin = True
    for line in text.splitlines():
        if line.startswith(("├", "┡")):
            begin = True
        elif line.startswith("│"):
            cells = tuple(cell.strip() for cell in line.strip("│").split("│"))
            if begin:
                rows.append(cells)
            else:
                rows[-1] = tuple(f"{one} {more}".strip() for one, more in zip(rows[-1], cells, strict=True))
            begin = False
    return rows, [line.strip() for line in text.splitlines() if "params:" in line]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(preset_config("machinecurve2022"), id="valid"),
        *(
            pytest.param(preset_config(name).replace(encoder_weights="none"), id=name, marks=pytest.mark.slow)
            for name in PRESETS
        ),
        pytest.param(EFFICIENT, id="efficientnet", marks=pytest.mark.slow),
        pytest.param(EFFICIENT.replace(encoder="efficientnet_lite0"), id="lite", marks=pytest.mark.slow),
    ],
)
def test_the_summary_says_what_keras_says(config: UNetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    rows, totals = rows_and_totals(model_summary(trace(config)))
    expected, expected_totals = rows_and_totals(keras_summary(config))
    assert sorted(rows) == sorted(expected)
    assert totals == expected_totals


def test_a_broken_network_is_shown_up_to_the_break() -> None:
    text = model_summary(trace(preset_config("keras_basic"), (250, 250)))
    assert "decoder2_concat" in text.splitlines()[-1]
    assert "decoder1" not in text
