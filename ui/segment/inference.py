"""The choice of model, engine and inference mode, kept in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from ui.segment import options
from ui.segment.session_results import Choice
from ui.shared import format as text
from ui.shared import url
from ui.shared.models import ModelChoice
from ui.shared.url import Option
from unet_core.segment import EngineChoice, InferenceMode
from unet_core.segment.tiles import MAX_OVERLAP

WHOLE, TILES = options.WAY.default, "tiles"
SCALES: dict[str, float | None] = {"automatic": None, "25 %": 0.25, "50 %": 0.5, "100 %": 1.0}
ENGINES: dict[str, EngineChoice] = {"automatic": "auto", "ONNX Runtime": "onnx", "TensorFlow": "keras"}
FIRST = options.MODEL, options.WAY, options.FLIPS, options.SCALE, options.OVERLAP
SECOND = options.MODEL2, options.WAY2, options.FLIPS2, options.SCALE2, options.OVERLAP2  # of the comparison
DEFAULT_MODEL = ""  # the manifest's default, which the address does not name


def choose(models: Sequence[ModelChoice], *, beside: str = "") -> Choice:
    """Draw the choice and return it.

    The second choice of a comparison has its own keys. It starts with a shipped model other than the first one's,
    `beside`, or else with the other inference mode.
    """
    second = bool(beside)
    which_model, mode, flips, scaling, overlapping = SECOND if second else FIRST
    names = [model.name for model in models]
    if not second:
        names[0] = DEFAULT_MODEL
    titles = dict(zip(names, (model.title for model in models), strict=True))
    other = next((model.name for model in models if model.kind == "shipped" and model.name != beside), "")
    name = _model(names, titles, which_model, (other or beside) if second else DEFAULT_MODEL)
    model = next((model for model in models if model.name == name), models[0])
    st.caption(text.plain(model.facts))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Inference mode",
            [WHOLE, TILES],
            default=TILES if second and not other else WHOLE,
            required=True,
            help="Tiles preserve small details of large photos; the whole photo suits a subject that fills it.",
            **mode.widget,
        )
        flip = st.toggle(
            "Flip averaging",
            disabled=model.second_look,
            help=_flip_help(model.second_look, kind),
            **flips.widget,
        )
    scale, overlap = _tiles(scaling, overlapping) if kind == TILES else (None, InferenceMode.overlap)
    engine = "auto" if second else _engine()
    flip = flip and not model.second_look
    return Choice(model.name, engine, InferenceMode("tiles" if kind == TILES else "whole", scale, overlap, flip))


def _flip_help(second_look: bool, kind: str) -> str:
    if not second_look:
        return "Averages the probabilities with those of the mirrored photo, which doubles the work"
    if kind == TILES:
        return "This model always averages every tile with its mirror image."
    return (
        "This model always makes a second pass, mirrored and zoomed in on what it found, and a third where the two "
        "contradict each other."
    )


def _model(names: Sequence[str], titles: Mapping[str, str], option: Option, default: str) -> str:
    """Draw the choice of a model. The address has its id; a widget bound to the address would write the title."""
    key, last_asked, asked = option.name, f"{option.name}-address", url.asked(option)
    if key not in st.session_state or asked != st.session_state.get(last_asked):  # first visit, link, Back
        st.session_state[key] = (
            asked if asked in names else next((id_ for id_ in names if titles[id_] == asked), default)
        )
    if st.session_state[key] not in names:  # deleted meanwhile
        st.session_state[key] = default
    name = st.selectbox("Model", names, format_func=lambda name: titles.get(name, name), key=key)
    url.write(option, None if name == default else name)
    st.session_state[last_asked] = url.asked(option)
    return name


def named(choice: Choice, models: Sequence[ModelChoice]) -> str:
    """Return a short description of a choice."""
    title = next((model.title for model in models if model.name == choice.model), choice.model)
    return f"{title} · {choice.mode.label}"


def _tiles(scaling: Option, overlapping: Option) -> tuple[float | None, float]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scale = st.selectbox(
            "Scale",
            list(SCALES),
            help="Scale of the photo that tiles are cut from; automatic gives few tiles, so that a pet fits into one",
            width=130,
            **scaling.widget,
        )
        overlap = st.slider(
            "Overlap",
            0,
            round(100 * MAX_OVERLAP),
            overlapping.default,
            5,
            "%d %%",
            help="Least overlap of neighbouring tiles, which are blended smoothly there",
            width=150,
            **overlapping.widget,
        )
    return SCALES[scale], overlap / 100


def _engine() -> EngineChoice:
    chosen = st.segmented_control(
        "Engine",
        list(ENGINES),
        default=options.ENGINE.default,
        required=True,
        help="Automatic: TensorFlow on a GPU, ONNX Runtime on a CPU",
        **options.ENGINE.widget,
    )
    return ENGINES[chosen]
