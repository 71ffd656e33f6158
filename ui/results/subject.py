"""The model whose figures the Results page shows, with its result file and any problem with that file."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from ui.results import options
from ui.shared import format as text
from unet_core.results.files import Evaluation, Found, PartResult, find_evaluation, result_path
from unet_core.settings import Settings
from unet_core.zoo.manifest import Manifest, ModelEntry

TEST, VALIDATION, DRAWN = "test", "validation", "drawn"


@dataclass(frozen=True)
class Subject:
    """A shipped model with its result file and any problem with that file."""

    name: str
    entry: ModelEntry
    found: Found

    @property
    def title(self) -> str:
        """The model's title, or its name."""
        return self.entry.title or self.name

    @property
    def evaluation(self) -> Evaluation | None:
        """The figures, possibly of another version of the model."""
        return self.found.evaluation

    def part(self, name: str = TEST) -> PartResult | None:
        """Return the figures on one part of the data; None if they were not measured."""
        return None if self.evaluation is None else self.evaluation.parts.get(name)


def subjects(manifest: Manifest, settings: Settings) -> dict[str, Subject]:
    """Return all shipped models by name, the default one first."""
    names = [manifest.default, *(name for name in manifest.models if name != manifest.default)]
    return {name: Subject(name, manifest.models[name], _found(name, manifest.models[name], settings)) for name in names}


def picker(shipped: dict[str, Subject]) -> Subject:
    """Draw the choice of the model, if there are several, and return the chosen one."""
    names = list(shipped)
    if len(names) == 1:
        return shipped[names[0]]
    chosen = st.segmented_control(
        "Model",
        names,
        default=names[0],
        required=True,
        format_func=lambda name: shipped[name].title,
        **options.MODEL.widget,
        label_visibility="collapsed",
    )
    return shipped.get(chosen or names[0], shipped[names[0]])


def problem_note(subject: Subject) -> None:
    """Say what is wrong with the model's figures, and the command that fixes it."""
    if not subject.found.problem:
        return
    title = "These figures are out of date" if subject.found.stale else "No detailed figures"
    show = st.warning if subject.found.stale else st.info
    show(
        f"{text.plain(subject.found.problem)} Measure it with `{subject.found.command}`, which needs the dataset.",
        title=title,
        icon=":material/update:" if subject.found.stale else ":material/query_stats:",
    )


def _found(name: str, entry: ModelEntry, settings: Settings) -> Found:
    path = result_path(name, settings)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _cached(str(path), stamp, name, entry.model_dump_json(include={"files", "second_look"}), entry, settings)


@st.cache_resource(max_entries=16, show_spinner=False)
def _cached(path: str, stamp: int, name: str, files: str, _entry: ModelEntry, _settings: Settings) -> Found:
    return find_evaluation(name, _entry, _settings)
