"""The command `time-step` and its earlier name."""

from __future__ import annotations

import pytest

from unet_core.cli.parser import parse


@pytest.mark.parametrize("name", ["time-step", "calibrate"])
def test_both_names_run_the_same_command(name: str) -> None:
    parsed = parse([name, "--recipe", "demo_60s", "--json"])
    assert parsed.command.__module__ == "unet_core.cli.time_step"
    assert (parsed.recipe, parsed.json) == ("demo_60s", True)


def test_help_lists_the_new_name_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    listed = capsys.readouterr().out
    assert "time-step" in listed
    assert "calibrate" not in listed
