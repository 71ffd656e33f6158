"""`presets`: the named architectures."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from unet_core.architecture.presets import PRESETS
from unet_core.cli.arguments import add_command
from unet_core.cli.output import OK, Output, shape_text, table


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    add_command(subparsers, "presets", run, "list the named architectures", "", "--json")


def run(arguments: Namespace, output: Output) -> int:
    """List the presets with their shapes and parameters."""
    from unet_core.architecture.trace import trace

    entries = []
    for preset in PRESETS.values():
        traced = trace(preset.config)
        entries.append(
            {
                "name": preset.name,
                "title": preset.title,
                "description": preset.description,
                "input_shape": traced.input_shape,
                "output_shape": traced.output_shape,
                "total_params": traced.total_params,
                "total_macs": traced.total_macs,
                "config": preset.config.model_dump(mode="json"),
            }
        )
    rows = [
        (
            entry["name"],
            shape_text(entry["input_shape"]),
            shape_text(entry["output_shape"]),
            f"{entry['total_params']:,}",
        )
        for entry in entries
    ]
    output.result(entries, table(("preset", "input", "output", "parameters"), rows))
    return OK
