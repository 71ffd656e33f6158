"""How long the Architecture page's computations take for every preset: the trace and what is derived from it.

    python benchmarks/architecture_speed.py [--rounds 15] [--json FILE]

Each figure is the median processor time of the rounds in milliseconds, followed by the fastest round's wall-clock time:
all of this is plain Python on one thread, so both are close to those of an idle machine. The presets alternate. The
target for a trace is 5 ms.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from common import summary, write_figures  # noqa: E402

from unet_core.architecture.config import UNetConfig  # noqa: E402
from unet_core.architecture.doctor import diagnose  # noqa: E402
from unet_core.architecture.presets import PRESETS  # noqa: E402
from unet_core.architecture.trace import _traced, trace  # noqa: E402
from unet_core.explain.codegen import functional_source, subclassed_source  # noqa: E402
from unet_core.explain.diagram import bare_svg, diagram  # noqa: E402
from unet_core.explain.layer import explain  # noqa: E402
from unet_core.explain.summary import model_summary  # noqa: E402
from unet_core.train.environment import processor_name  # noqa: E402

TRACE_TARGET_MS = 5.0
Actions = dict[str, Callable[[], object]]


def main() -> None:
    """Measure, print a table, and write JSON if requested."""
    parser = argparse.ArgumentParser(description=summary(__doc__))
    parser.add_argument("--rounds", type=int, default=15, help="number of repetitions (default: 15)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    report = {
        "machine": processor_name(),
        "python": sys.version.split()[0],
        "rounds": arguments.rounds,
        "trace_target_ms": TRACE_TARGET_MS,
        "presets": measured(arguments.rounds),
        "tensorflow_imported": "tensorflow" in sys.modules,
    }
    print(table(report))
    write_figures(report, arguments.json)


def actions(config: UNetConfig) -> Actions:
    """Return the measured actions for one configuration."""
    traced = trace(config)
    odd = (config.height - 3, config.width - 3)
    return {
        "trace": lambda: trace(config),
        "U diagram": lambda: bare_svg(diagram(traced)),
        "explain all": lambda: [explain(config, traced, row.name) for row in traced.layers],
        "diagnose, bad size": lambda: diagnose(config, odd),
        "both programs": lambda: (functional_source(config), subclassed_source(config)),
        "summary": lambda: model_summary(traced),
    }


def measured(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return milliseconds by preset and action, all alternating."""
    every = {preset.name: actions(preset.config) for preset in PRESETS.values()}
    seconds: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for preset, named in every.items():
            for name, action in named.items():
                _traced.cache_clear()
                clock, processor = time.perf_counter(), time.thread_time()
                action()
                taken = time.thread_time() - processor, time.perf_counter() - clock
                seconds.setdefault((preset, name), []).append(taken)
    return {
        preset: {
            name: {
                "median_ms": round(1000 * statistics.median(cpu for cpu, _ in seconds[preset, name]), 3),
                "fastest_ms": round(1000 * min(wall for _, wall in seconds[preset, name]), 3),
            }
            for name in named
        }
        for preset, named in every.items()
    }


def table(report: dict) -> str:
    """Return the figures as text: median processor time (fastest wall-clock time), milliseconds."""
    names = next(iter(report["presets"].values()))
    lines = [f"{'preset':24}" + "".join(f"{name:>20}" for name in names)]
    for name, figures in report["presets"].items():
        cells = [f"{figure['median_ms']:.2f} ({figure['fastest_ms']:.2f})" for figure in figures.values()]
        lines.append(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells))
    slowest = max(figures["trace"]["median_ms"] for figures in report["presets"].values())
    verdict = "within" if slowest <= TRACE_TARGET_MS else "over"
    return "\n".join([*lines, f"slowest trace {slowest:.1f} ms, {verdict} the target of {TRACE_TARGET_MS:g} ms"])


if __name__ == "__main__":
    main()
