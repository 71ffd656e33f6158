"""Sweeps: one training configuration with some fields varied, each combination an ordinary run of the queue.

A sweep is a name that its runs carry, so a second call finds what is there and trains only the rest. Imports no
TensorFlow.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unet_core.errors import ConfigError, UNetError
from unet_core.jobs.names import one_line
from unet_core.jobs.tables import Row
from unet_core.settings import Settings, get_settings
from unet_core.train import queue
from unet_core.train.checks import check_start
from unet_core.train.config import TrainConfig, with_fields
from unet_core.train.curves import differences
from unet_core.train.run_directory import MONITORED, PAUSED, RunDirectory, RunError, State, best_epoch
from unet_core.train.standardize import with_measured

# Successive halving (Jamieson & Talwalkar 2016): one trial in so many goes on, to so many times the epochs. All trials
# of a stage are compared at once, so the result does not depend on the number of workers, as that of Optuna's
# asynchronous pruner does; a study of Optuna's would also be a second record of what the runs hold already.
REDUCTION = 3
_POLL_SECONDS = 0.5
_MOST_DRAWS = 10_000
_DIGITS = 4  # of a random number
_RANGE = re.compile(r"(?P<low>[^:]+?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")

Say = Callable[[str], None]
Values = dict[str, Any]  # by the field's dotted name


# --- planning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """Where a field's random values lie, both ends included: whole numbers or not, evenly or by their logarithm."""

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def draw(self, numbers: random.Random) -> float:
        """Return a value, rounded to four digits unless it is a whole number."""
        if not self.log:
            if self.whole:
                return numbers.randint(int(self.low), int(self.high))
            value = numbers.uniform(self.low, self.high)
        else:
            value = math.exp(numbers.uniform(math.log(self.low), math.log(self.high)))
        value = round(value) if self.whole else float(f"{value:.{_DIGITS}g}")
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Trial:
    """One combination of a sweep: the varied fields and the configuration that has them."""

    values: Values
    config: TrainConfig

    @property
    def title(self) -> str:
        """The values in words, such as "learning_rate 0.001, loss dice"."""
        return ", ".join(f"{field} {written(value)}" for field, value in self.values.items())


@dataclass(frozen=True)
class Rung:
    """A stage of successive halving: the `trials` best go on to `epochs` whole epochs; None trains them all."""

    trials: int
    epochs: int | None


def read_grid(text: str) -> tuple[str, list[Any]]:
    """Read FIELD=A,B,C: JSON values, or words.

    Raises:
        ConfigError: it is something else.
    """
    field, _, listed = (part.strip() for part in text.partition("="))
    if not field or not listed:
        raise ConfigError(f"--grid: needs FIELD=VALUE,VALUE. Received: {text!r}")
    try:
        return field, json.loads(f"[{listed}]")
    except ValueError:
        return field, [_read_value(value.strip()) for value in listed.split(",")]


def read_range(text: str) -> tuple[str, Range]:
    """Read FIELD=LOW..HIGH or FIELD=LOW..HIGH:log; two whole numbers make a range of whole numbers.

    Raises:
        ConfigError: it is something else.
    """
    field, _, written_range = (part.strip() for part in text.partition("="))
    parts = _RANGE.fullmatch(written_range)
    ends = [_read_value(parts[end].strip()) for end in ("low", "high")] if parts else []
    if not field or parts is None or not all(_is_number(end) for end in ends):
        raise ConfigError(f"--random: needs FIELD=LOW..HIGH or FIELD=LOW..HIGH:log. Received: {text!r}")
    low, high = ends
    log = parts["log"] is not None
    if low > high or (log and low <= 0):
        needed = "must not be above the highest" if low > high else "must be above 0 for :log"
        raise ConfigError(f"--random: {field}: the lowest value {needed}. Received: {written_range}")
    return field, Range(low, high, all(isinstance(end, int) for end in ends), log)


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def plan_trials(
    base: TrainConfig,
    grid: Mapping[str, Sequence[Any]],
    ranges: Mapping[str, Range] | None = None,
    draws: int = 1,
    seed: int = 0,
) -> list[Trial]:
    """Return every combination of the grid, with each of `draws` draws from the ranges; equal ones once.

    Args:
        base: what all trials have in common, their seed included.
        grid: the values of each field, by dotted name.
        ranges: the fields that are drawn at random.
        draws: how many times they are.
        seed: of the draws.

    Raises:
        ConfigError: nothing varies, a field does not exist, or a combination is not valid.
    """
    ranges = ranges or {}
    if not grid and not ranges:
        raise ConfigError("name what varies: --grid FIELD=VALUE,VALUE or --random FIELD=LOW..HIGH")
    if not 1 <= draws <= _MOST_DRAWS:
        raise ConfigError(f"--trials: must be 1 to {_MOST_DRAWS}. Received: {draws}")
    numbers = random.Random(seed)
    drawn = [{field: each.draw(numbers) for field, each in ranges.items()} for _ in range(draws if ranges else 1)]
    listed = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    trials: dict[str, Trial] = {}
    for values in ({**random_values, **grid_values} for random_values in drawn for grid_values in listed):
        config = with_fields(base, values)
        trials.setdefault(config.to_json(), Trial(values, config))
    return list(trials.values())


def plan_rungs(trials: Sequence[Trial], halving: bool) -> list[Rung]:
    """Return the stages of a sweep: one, or those of successive halving.

    Raises:
        ConfigError: there are too few trials or epochs to halve, or the number of epochs varies.
    """
    if not halving:
        return [Rung(len(trials), None)]
    epochs = {trial.config.epochs for trial in trials}
    if len(epochs) > 1:
        raise ConfigError("--halving: needs the same number of epochs in all trials, which is its budget")
    most = min(len(trials), *epochs)
    if most < REDUCTION:
        raise ConfigError(
            f"--halving: needs at least {REDUCTION} trials and {REDUCTION} epochs. "
            f"Received: {len(trials)} trials of {min(epochs)} epochs"
        )
    stages = 0
    while REDUCTION ** (stages + 1) <= most:
        stages += 1
    return [
        Rung(len(trials) // REDUCTION**stage, math.ceil(min(epochs) / REDUCTION ** (stages - stage)))
        for stage in range(stages)
    ] + [Rung(len(trials) // REDUCTION**stages, None)]


def written(value: Any) -> str:
    """Return a field's value as text."""
    return value if isinstance(value, str) else json.dumps(value)


# --- running ----------------------------------------------------------------------------------------------------------


def run_sweep(
    name: str, trials: Sequence[Trial], rungs: Sequence[Rung], settings: Settings | None = None, say: Say = print
) -> SweepReport:
    """Train the trials that are missing, and return the report once none trains or waits any longer.

    Args:
        name: of the sweep; its runs carry it.
        trials: of `plan_trials`.
        rungs: of `plan_rungs`. A trial that a stage leaves behind stays paused, and can be resumed like any run.
        settings: folders and limits.
        say: called with a sentence whenever trials have ended.

    Raises:
        RunError: a trial cannot start; then none has been started.
    """
    settings = settings or get_settings()
    name = one_line(name)
    entries = _entries(name, trials, settings)
    _check(entries, settings)
    reached = 0
    for rung in rungs:
        if rung.trials < len(entries):
            entries = _best(entries, rung.trials, reached)
            best = "; ".join(entry.trial.title for entry in entries)
            say(f"after {reached} epoch{'s' if reached > 1 else ''}, the best of them go on: {best or 'none'}")
        _train(name, entries, rung.epochs, settings, say)
        if not all(entry.has_reached(rung.epochs) or entry.has_failed() for entry in entries):
            break  # stopped or killed: which go on is decided once all have got there
        reached = rung.epochs or 0
    return sweep_report(name, settings)


@dataclass
class _Entry:
    """A trial with its run, once it has one."""

    trial: Trial
    run: RunDirectory | None

    def has_reached(self, epochs: int | None) -> bool:
        """Return whether it has trained so many epochs, or all that it ever will."""
        if self.run is None:
            return False
        status = self.run.status()
        return not status.active and (
            status.shown == "finished" or len(self.run.metrics.rows()) >= (epochs or status.epochs)
        )

    def has_failed(self) -> bool:
        return self.run is not None and self.run.status().state == "failed"

    def is_pending(self, settings: Settings) -> bool:
        return self.run is not None and queue.is_pending(self.run, settings)

    def score(self, epochs: int) -> float:
        """Return its best score within so many epochs; the lowest for a trial that has none or failed."""
        if self.run is None or self.has_failed():
            return -math.inf
        score = _best_score(self.run.metrics.rows()[:epochs])
        return -math.inf if score is None else score


def _entries(name: str, trials: Sequence[Trial], settings: Settings) -> list[_Entry]:
    entries = [_Entry(trial, None) for trial in trials]
    for run in sweep_runs(name, settings):
        with contextlib.suppress(ConfigError):  # a run of another version of this program
            config = run.config()
            for entry in entries:
                if entry.run is None and with_measured(entry.trial.config, config) == config:
                    entry.run = run
    return entries


def _check(entries: Sequence[_Entry], settings: Settings) -> None:
    if not settings.starts_runs:
        raise RunError("UNET_WORKERS is 0, so nothing would train the sweep's runs: set it to 1 or more.")
    if len(entries) > settings.keep_runs:
        raise RunError(
            f"The sweep has {len(entries)} trials and UNET_KEEP_RUNS keeps {settings.keep_runs} runs: set it higher, "
            "or try fewer."
        )
    for entry in entries:
        if entry.run is None:
            try:
                check_start(entry.trial.config, settings)
            except UNetError as error:
                raise RunError(f"{entry.trial.title}: {error}") from None


def _train(name: str, entries: Sequence[_Entry], epochs: int | None, settings: Settings, say: Say) -> None:
    """Train up to so many epochs, and return once nothing trains or waits."""
    before = {run.id for run in queue.all_runs(settings)}
    pending = [entry for entry in entries if _is_started(name, entry, epochs, settings)]
    if gone := before - {run.id for run in queue.all_runs(settings)}:
        say(f"older runs were deleted, because UNET_KEEP_RUNS keeps {settings.keep_runs}: {', '.join(sorted(gone))}")
    if len(pending) < len(entries):
        say(f"{len(entries) - len(pending)} of {len(entries)} trials are there already")
    while pending:
        for entry in [entry for entry in pending if not entry.is_pending(settings)]:
            pending.remove(entry)
            say(f"{len(entries) - len(pending)} of {len(entries)}: {_sentence(entry)}")
        time.sleep(_POLL_SECONDS)
        queue.advance(settings)


def _is_started(name: str, entry: _Entry, epochs: int | None, settings: Settings) -> bool:
    """Start a trial that has no run yet, has not got so far, or failed in an earlier call; return whether it trains."""
    until = epochs or 0
    if entry.run is None:
        title = f"{name}: {entry.trial.title}"
        entry.run = queue.submit(entry.trial.config, title, settings=settings, sweep=name, until=until)
    elif not entry.is_pending(settings):
        if entry.has_reached(epochs):
            return False
        queue.resume(entry.run, settings=settings, until=until)
    return True


def _best(entries: Sequence[_Entry], count: int, epochs: int) -> list[_Entry]:
    """Return the trials with the best scores after so many epochs, in their order."""
    scores = [entry.score(epochs) for entry in entries]
    ranked = sorted(range(len(entries)), key=lambda place: scores[place], reverse=True)
    return [entries[place] for place in sorted(ranked[:count]) if scores[place] > -math.inf]


def _sentence(entry: _Entry) -> str:
    assert entry.run is not None  # it was started
    result = _result(entry.run, entry.trial.values)
    score = "no score" if result.score is None else f"validation mean IoU {result.score:.4f}"
    return f"{entry.trial.title}: {score}, {result.state}" + (f" ({result.reason})" if result.reason else "")


def stop_sweep(name: str, settings: Settings | None = None) -> int:
    """Stop the runs of a sweep that train or wait, the waiting ones first, and return how many those are."""
    settings = settings or get_settings()
    pending = [run for run in sweep_runs(name, settings) if queue.is_pending(run, settings)]
    for run in sorted(pending, key=lambda run: run.status().active):  # else the next one would start in between
        with contextlib.suppress(RunError):  # deleted meanwhile
            queue.stop(run, settings)
    return len(pending)


# --- the report -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrialResult:
    """How far a trial's run has got: `best_epoch` counts from 1, `score` is its mean IoU on validation."""

    run: str
    values: Values
    state: State
    reason: str
    epochs: int
    of_epochs: int
    best_epoch: int | None
    score: float | None
    test_mean_iou: float | None
    seconds: float

    @property
    def paused(self) -> bool:
        """Whether successive halving has left it behind."""
        return self.state == "stopped" and self.reason.startswith(PAUSED)


@dataclass(frozen=True)
class SweepReport:
    """All trials of a sweep, the best score first, and the fields in which they differ."""

    name: str
    fields: tuple[str, ...]
    trials: tuple[TrialResult, ...]

    @property
    def unfinished(self) -> int:
        """How many trials have neither finished, failed nor been left behind."""
        return sum(
            trial.state not in ("finished", "failed") and not trial.paused and trial.epochs < trial.of_epochs
            for trial in self.trials
        )


def sweep_runs(name: str, settings: Settings | None = None) -> list[RunDirectory]:
    """Return the runs of a sweep, the newest first."""
    return queue.all_runs(settings, lambda label: bool(name) and label.sweep == name)


def sweep_report(name: str, settings: Settings | None = None) -> SweepReport:
    """Return how the runs of a sweep compare.

    Raises:
        RunError: there is no such sweep.
    """
    read = [(run, config) for run in reversed(sweep_runs(name, settings)) if (config := _readable(run)) is not None]
    if not read:
        raise RunError(f"There is no sweep {one_line(name)!r} in the folder of runs.")
    varied = differences([config for _, config in read])
    results = [
        _result(run, {field: values[place] for field, values in varied.items()}) for place, (run, _) in enumerate(read)
    ]
    results.sort(key=lambda result: -math.inf if result.score is None else result.score, reverse=True)
    return SweepReport(name, tuple(varied), tuple(results))


def _readable(run: RunDirectory) -> TrainConfig | None:
    """Return a run's configuration; None if another version of this program has written it."""
    try:
        return run.config()
    except UNetError:
        return None


def _result(run: RunDirectory, values: Values) -> TrialResult:
    status, rows, test = run.status(), run.metrics.rows(), run.test()
    best = best_epoch(rows)
    return TrialResult(
        run=run.id,
        values=values,
        state=status.shown,
        reason=status.reason,
        epochs=len(rows),
        of_epochs=status.epochs,
        best_epoch=None if best is None else best + 1,
        score=_best_score(rows),
        test_mean_iou=None if test is None else test.mean_iou,
        seconds=round(sum(row.get("seconds", 0.0) for row in rows), 3),
    )


def _best_score(rows: Sequence[Row]) -> float | None:
    best = best_epoch(rows)
    return next((row[MONITORED] for row in rows if row["epoch"] == best), None)
