"""The model beside published figures, accuracy against cost, and all architectures trained under one small budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import streamlit as st
from PIL import ImageColor

from ui.results import charts, options
from ui.results.charts import SHIPPED, Point
from ui.results.methods import card
from ui.results.subject import TEST, Subject
from ui.shared import format as text
from ui.shared.legend import legend
from ui.shared.url import put
from unet_core.architecture.trace import trace
from unet_core.classes import CLASS_NAMES
from unet_core.results.compared_networks import COMMAND, GROUPS
from unet_core.results.files import ComparedRun, Comparison, ResultsError, read_comparison, result_path
from unet_core.results.published import PUBLISHED, Published, ours
from unet_core.results.resolutions import find_resolutions
from unet_core.scoring.evaluate import OWN, Size
from unet_core.settings import Settings

_BADGES: dict[str, tuple[str, Literal["green", "orange", "gray"], str]] = {
    "yes": ("comparable", "green", ":material/check:"),
    "roughly": ("roughly comparable", "orange", ":material/balance:"),
    "no": ("not comparable", "gray", ":material/block:"),
}


def section(subject: Subject | None, shipped: Mapping[str, Subject], settings: Settings) -> None:
    """Draw the published figures, accuracy against cost and the equal budget; `subject` may be missing."""
    _published(subject if subject is None or _finds_pets(subject) else None)
    if subject is not None:
        _resolutions(subject, settings)
    found, problem = _comparison(settings)
    _costs(subject, shipped, found)
    _budget(found, problem)


def _finds_pets(subject: Subject) -> bool:
    """Return whether a model has the pet classes, on which the others are measured."""
    return set(subject.entry.class_names) <= set(CLASS_NAMES)


# --- published figures ------------------------------------------------------------------------------------------------


def _published(subject: Subject | None) -> None:
    evaluation = subject.evaluation if subject is not None else None
    measured = evaluation.measured if evaluation is not None else None
    how = (
        "Theirs as published on the linked pages. Ours from this model's result file, in the same metric: pixel "
        "accuracy and means over three classes; for two-class figures with the border counted as pet, over all pixels "
        "or as the mean over photos."
    )
    shown = card("Published figures", key="published", how=how, measured=measured)
    with shown, st.grid(2, min_column_width=300):
        for entry in PUBLISHED:
            with st.container(border=True, height="stretch"):
                _entry(entry, subject)


def _entry(entry: Published, subject: Subject | None) -> None:
    st.markdown(f"**{text.plain(entry.title)}**")
    label, colour, icon = _BADGES[entry.comparable]
    st.badge(label, icon=icon, color=colour)
    st.caption(f"{text.plain(entry.network)}. {text.plain(entry.setting)}.")
    part = subject.part(TEST) if subject is not None else None
    lines = []
    for figure in entry.figures:
        own = ours(part, figure.ours) if part is not None else None
        beside = "" if own is None else f" · ours **{text.percent(own)}**"
        lines.append(f"- {figure.label}: {text.percent(figure.value)}{beside}")
    st.markdown("\n".join(lines))
    st.caption(f"{text.plain(entry.why)} [{text.plain(entry.source)}]({entry.url})")


# --- the size of the comparison ---------------------------------------------------------------------------------------


def _resolutions(subject: Subject, settings: Settings) -> None:
    """Draw the scores of one prediction compared at several sizes."""
    found = find_resolutions(subject.name, subject.entry, settings)
    if found is None:
        return
    detail = text.pixels(found.detail, found.detail)
    coarse = f"{text.number(found.coarse_masks)} of {text.number(found.images)} masks"
    how = (
        "Each photo was segmented once, as on the Segment page. Its probabilities were resized to each size, and the "
        "true mask by nearest neighbour. At the masks' own size, larger photos have more pixels. "
        f"{coarse} of this copy of the dataset are no more than enlargements of {detail}: at larger sizes, an outline "
        "finer than theirs counts as wrong."
    )
    with card("Compared at other sizes", key="resolutions", how=how, measured=found.measured):
        lines = [
            _row("Masks at", [_size_title(at.size) for at in found.sizes]),
            "|---" + "|--:" * len(found.sizes) + "|",
        ]
        scores = {
            "Pixel accuracy": [at.pixel_accuracy for at in found.sizes],
            "Mean IoU": [at.mean_iou for at in found.sizes],
            "Pet and border": [at.pet_iou for at in found.sizes],
            "Mean over photos": [at.photo_iou for at in found.sizes],
        }
        for name, shares in scores.items():
            lines.append(_row(name, ["–" if share is None else text.percent(share) for share in shares]))
        st.markdown("\n".join(lines))
        st.caption(
            f"{text.number(found.images)} {found.split} photos. {coarse} have no finer detail than {detail}. Mean over "
            "photos: of the IoU of pet and border."
        )


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _size_title(size: Size) -> str:
    if size == OWN:
        return "own size"
    return text.quantity(size[0], "px") if size[0] == size[1] else text.pixels(size[1], size[0])


# --- accuracy against cost --------------------------------------------------------------------------------------------


def _costs(subject: Subject | None, shipped: Mapping[str, Subject], found: Comparison | None) -> None:
    points = {point.key: point for point in [*_shipped_points(shipped), *_budget_points(found)]}
    how = (
        "Shipped models: fully trained, mean IoU on the official test photos, time from their manifest entry. The "
        "others: trained under the small budget below and measured on fewer test photos at a smaller size, so compare "
        "them only with each other. Times are medians for one photo, network alone, with ONNX Runtime."
    )
    measured = found.measured if found is not None else None
    with card("Accuracy against cost", key="costs", how=how, measured=measured):
        if not points:
            st.caption("No model has figures yet.")
            return
        names = list(points)
        with st.container(horizontal=True, vertical_alignment="bottom"):
            cost = st.segmented_control(
                "Cost", list(charts.COSTS), default=options.COST.default, required=True, **options.COST.widget
            )
            chosen = st.selectbox(
                "Network",
                names,
                index=names.index(subject.name) if subject is not None and subject.name in points else 0,
                format_func=lambda key: points[key].title,
                width=320,
                **options.NETWORK.widget,
            )
        chart, words = st.columns([3, 2])
        with chart:
            _kinds(list(dict.fromkeys(point.kind for point in points.values())))
            st.vega_lite_chart(
                charts.accuracy_against(list(points.values()), cost or "time", chosen),
                key="cost-chart",
                on_select=_take_point,
                alt="Mean IoU of each network against its cost",
            )
            st.caption("Click a point for its details. The cost axis is logarithmic.")
        with words, st.container(border=True):
            _point_card(points[chosen], found)


def _kinds(kinds: Sequence[str]) -> None:
    """Draw the legend of the kinds of networks."""
    legend(names=kinds, colours=[ImageColor.getrgb(charts.KIND_COLOURS[kind])[:3] for kind in kinds])


def _take_point() -> None:
    """Choose the network whose point was clicked, as the list does."""
    picked = st.session_state.get("cost-chart", {}).get("selection", {}).get(charts.POINT, [])
    if picked and "key" in picked[0]:
        put(options.NETWORK, picked[0]["key"])


def _shipped_points(shipped: Mapping[str, Subject]) -> list[Point]:
    points = []
    for subject in shipped.values():
        figures = subject.entry.metrics.get(TEST, {})
        milliseconds = subject.entry.latency.get("milliseconds")
        if not figures.get("mean_iou") or not milliseconds or "onnx" not in subject.entry.files:
            continue
        if not _finds_pets(subject):  # measured on other data
            continue
        points.append(
            Point(
                key=subject.name,
                title=subject.title,
                kind=SHIPPED,
                mean_iou=figures["mean_iou"],
                milliseconds=milliseconds,
                megabytes=subject.entry.files["onnx"].bytes / 1e6,
                million_macs=trace(subject.entry.config).total_macs * subject.entry.passes / 1e6,
                setting=f"{text.number(figures['images'])} test photos at {figures['image_size'][0]} px",
            )
        )
    return points


def _budget_points(found: Comparison | None) -> list[Point]:
    if found is None:
        return []
    setting = f"small budget, {text.number(found.budget.test_photos)} test photos at {found.budget.side} px"
    return [
        Point(
            key=f"budget:{run.name}",
            title=f"{run.title} (small budget)",
            kind=run.group,
            mean_iou=run.mean_iou,
            milliseconds=run.milliseconds,
            megabytes=run.onnx_bytes / 1e6,
            million_macs=run.macs / 1e6,
            setting=setting,
        )
        for run in found.runs
        if run.mean_iou is not None and run.milliseconds > 0 and run.group in GROUPS
    ]


def _point_card(point: Point, found: Comparison | None) -> None:
    st.markdown(f"**{text.plain(point.title)}**")
    st.badge(point.kind, color="gray")
    st.markdown(
        f"- mean IoU **{text.percent(point.mean_iou)}**\n"
        f"- {text.milliseconds(point.milliseconds)} per photo, network alone\n"
        f"- {text.quantity(point.megabytes, 'MB', 1)} as ONNX\n"
        f"- {text.number(point.million_macs)} million multiply-accumulates"
    )
    run = next((run for run in found.runs if f"budget:{run.name}" == point.key), None) if found else None
    if run is not None:
        st.caption(text.plain(run.teaches))
        changed = f" Changed: {text.plain(run.changed)}." if run.changed else ""
        height, width, _ = run.input_shape
        st.caption(
            f"{text.number(run.parameters)} parameters, {text.pixels(width, height)} input, "
            f"{text.duration(run.cpu_seconds)} of processor time in training.{changed}"
        )
    st.caption(text.plain(point.setting) + ".")


# --- the equal budget -------------------------------------------------------------------------------------------------


def _comparison(settings: Settings) -> tuple[Comparison | None, str]:
    path = result_path("comparison", settings)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _cached(str(path), stamp, settings)


@st.cache_resource(max_entries=4, show_spinner=False)
def _cached(path: str, stamp: int, _settings: Settings) -> tuple[Comparison | None, str]:
    try:
        return read_comparison(_settings), ""
    except ResultsError as error:
        return None, str(error)


def _budget(found: Comparison | None, problem: str) -> None:
    if found is None:
        with card("One small budget for all", key="budget"):
            st.info(
                f"{text.plain(problem)} Train all architectures under one budget with `{COMMAND}`, "
                "which needs the dataset and a few minutes per architecture on two cores.",
                icon=":material/hourglass_empty:",
            )
        return
    budget = found.budget
    how = (
        f"Every network got the same {text.number(budget.photos)} training photos, {budget.epochs} epochs of batches "
        f"of {budget.batch_size} ({text.number(budget.steps)} steps), horizontal flips, cross-entropy, "
        f"{budget.optimizer}, learning rate {budget.learning_rate:g}, seed {budget.seed}, and had to predict "
        f"{budget.side}×{budget.side} pixels of the whole photo; {budget.width}. One learning rate suits some better "
        f"than others, and with one seed small differences may be chance. Measured on "
        f"{text.number(budget.test_photos)} test photos at that size.\n\n{_left_out(found)}"
    )
    with card("One small budget for all", key="budget", how=how, measured=found.measured):
        st.caption(
            f"{text.number(len(found.runs))} networks, each trained here on {text.number(budget.photos)} photos in "
            f"{text.number(budget.steps)} steps: what each design achieves in a short training."
        )
        groups = [group for group in GROUPS if any(run.group == group for run in found.runs)]
        rows = [(run.title, run.mean_iou, run.group, run.teaches) for run in found.runs if run.mean_iou is not None]
        left, right = st.columns([3, 2])
        with left:
            _kinds(groups)
            st.vega_lite_chart(charts.budget_bars(rows, groups), alt="Mean IoU of each network under one budget")
        with right:
            for group in groups:
                lessons = _lessons([run for run in found.runs if run.group == group], found.runs)
                if lessons:
                    st.markdown(f"**{text.plain(group)}**\n" + "\n".join(f"- {lesson}" for lesson in lessons))


def _left_out(found: Comparison) -> str:
    return "\n".join(f"- `{name}` is left out: {text.plain(why)}." for name, why in found.left_out.items())


_PRETRAINED = {
    "pets_scratch": "pets",
    "pets_fast_scratch": "pets_fast",
    "mobilenetv2_tutorial_trained": "mobilenetv2_tutorial",
}


def _lessons(runs: Sequence[ComparedRun], everything: Sequence[ComparedRun]) -> list[str]:
    """Return a sentence for each changed network: how many points it gains or loses against its base."""
    known = {run.name: run for run in everything}
    lessons = []
    for run in runs:
        base = known.get(_PRETRAINED.get(run.name, runs[0].name))
        if not run.changed or base is None or base is run or run.mean_iou is None or base.mean_iou is None:
            continue
        points = 100 * (run.mean_iou - base.mean_iou)
        sign = "±" if round(points, 1) == 0 else "+" if points > 0 else "−"
        lessons.append(
            f"{text.plain(run.title)}: **{sign}{text.number(abs(points), 1)} points** against "
            f"{text.plain(base.title)}. {text.plain(run.teaches)}"
        )
    return lessons
