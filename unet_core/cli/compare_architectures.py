"""`compare-architectures`: many architectures under one small budget."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from unet_core.cli.arguments import add_command, add_data, positive
from unet_core.cli.output import OK, Output
from unet_core.quiet_tensorflow import import_tensorflow_quietly
from unet_core.settings import get_settings

_BUDGET = {
    "side": "side in pixels of what each network predicts",
    "photos": "training photos",
    "epochs": "epochs",
    "batch_size": "photos per step",
    "test_photos": "test photos to measure on",
}


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = add_command(
        subparsers,
        "compare-architectures",
        run,
        "train many architectures under one equal small budget; a second call trains only the missing ones",
        "",
        "--list",
        "--only pets_fast keras_basic --encoders my_encoders",
    )
    parser.add_argument("--list", action="store_true", help="list the architectures and train nothing")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="train only these; the file keeps the others")
    parser.add_argument(
        "--encoders", metavar="DIR", help="folder of pretrained encoders (default: Keras downloads them)"
    )
    add_data(parser, default="oxford_iiit_pet")
    parser.add_argument("--latency", action="store_true", help="only measure the time per photo again, for all runs")
    parser.add_argument("--out", metavar="FILE", help="default: UNET_WEIGHTS_DIR/results/comparison.json")
    for name, text in _BUDGET.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=positive, metavar="N", help=f"{text} (changes the budget)")


def run(arguments: Namespace, output: Output) -> int:
    """Train architectures under one equal small budget, one after the other; finished ones are not trained again."""
    if arguments.list:
        return _list(output)
    import_tensorflow_quietly()
    from unet_core.results.compared_networks import default_budget
    from unet_core.results.comparison import remeasure_latency, run_comparison
    from unet_core.results.files import COMPARISON_NAME, result_path

    out = Path(arguments.out) if arguments.out else result_path(COMPARISON_NAME, get_settings())

    def say(sentence: str) -> None:
        print(sentence, file=sys.stderr, flush=True)

    if arguments.latency:
        found = remeasure_latency(out, say)
    else:
        changes = {name: value for name in _BUDGET if (value := getattr(arguments, name)) is not None}
        found = run_comparison(
            default_budget(**changes),
            out,
            only=arguments.only,
            encoders=Path(arguments.encoders) if arguments.encoders else None,
            data=arguments.data,
            say=say,
        )
    rows = [f"{run.name}: mean IoU {run.mean_iou:.3f}, {run.milliseconds:.1f} ms" for run in found.runs]
    output.result(found.model_dump(mode="json"), "\n".join([*rows, str(out)]))
    return OK


def _list(output: Output) -> int:
    from unet_core.results.compared_networks import NETWORKS

    entries = [{"name": entry.name, "title": entry.title, "group": entry.group} for entry in NETWORKS]
    output.result(entries, "\n".join(f"{entry.name:<34}{entry.title}" for entry in NETWORKS))
    return OK
