"""The shape doctor: what the network does with the input size, how to fix it, and the error of Keras."""

from __future__ import annotations

import streamlit as st

from ui.architecture import state
from ui.architecture.cached import diagnosed, sides_around
from ui.architecture.controls import SKIPS
from ui.architecture.overview import remedy_button
from ui.architecture.state import Notice, View
from ui.shared import background
from ui.shared import format as text
from ui.shared.uploads import PHOTO_TYPES
from unet_core.architecture.config import MAX_SIDE, UNetConfig
from unet_core.architecture.doctor import Diagnosis, Verdict
from unet_core.architecture.presets import PRESETS
from unet_core.explain.beliefs import beliefs
from unet_core.explain.diagram.texts import problem_words
from unet_core.explain.real_error import RealError, not_runnable, real_error
from unet_core.explain.tutorial_variants import COMMON, VARIANTS, TutorialVariant, outcome
from unet_core.images.decode import ImageError, photo_facts
from unet_core.settings import Settings

PHOTO = "architecture-photo-size"
REAL = "architecture-real"
SETTLED = ("error", "worked", "refused")  # a second run would give the same
VERDICTS: dict[Verdict, tuple[str, str, str]] = {  # the icon and colour of a size, and what they mean
    "works": (":material/check:", "green", "works"),
    "changes": (":material/crop:", "orange", "works, but the mask has another size than the photo"),
    "uneven": (":material/align_vertical_bottom:", "orange", "works, but a pooling drops an odd row or column"),
    "breaks": (":material/close:", "red", "breaks"),
}


def section(view: View, settings: Settings) -> None:
    """Show the diagnosis with its remedies, sizes nearby, the real error, and three ways to write one network."""
    diagnosis = diagnosed(view.config)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _verdict(view, diagnosis)
        _remedies(diagnosis)
    with right:
        _size_of_a_photo(settings)
        _sizes_around(view)
    _real(view, diagnosis)
    _beliefs(view.preset)
    _variants(diagnosis.size)


def _verdict(view: View, diagnosis: Diagnosis) -> None:
    height, width = diagnosis.size
    st.markdown(f"#### {height}{text.TIMES}{width}, skip connections: {SKIPS[view.config.skip_mode]}")
    if diagnosis.problem:
        # The explanation is above the diagram.
        st.code(f"{diagnosis.problem.layer}: {problem_words(diagnosis.problem)}", language=None)
    else:
        icon = ":material/check_circle:" if diagnosis.healthy else ":material/warning:"
        st.markdown(f"{icon} {text.plain(diagnosis.sentence)}")
    if diagnosis.story:
        st.caption(f"Halving: {text.plain(diagnosis.story)}")


def _remedies(diagnosis: Diagnosis) -> None:
    if not diagnosis.remedies:
        return
    st.markdown("**How to fix it**")
    for number, remedy in enumerate(diagnosis.remedies):
        button, effect = st.columns([2, 3], vertical_alignment="center", gap="small")
        with button:
            remedy_button(remedy, f"doctor-{number}", width="stretch")
        effect.caption(text.plain(remedy.effect))


def _size_of_a_photo(settings: Settings) -> None:
    st.markdown("**Use the size of a photo**")
    upload = st.file_uploader(
        "Photo",
        type=PHOTO_TYPES,
        key=PHOTO,
        label_visibility="collapsed",
        max_upload_size=max(1, int(settings.max_upload_mb)),
        on_change=_use_photo_size,
        args=(settings,),
    )
    if upload is None:
        st.caption("Only the photo's height and width are used.")


def _use_photo_size(settings: Settings) -> None:
    upload = st.session_state.get(PHOTO)
    if upload is None:
        return
    try:
        facts = photo_facts(upload.getvalue(), name=upload.name, settings=settings)
    except ImageError as error:
        state.refuse(str(error))
        return
    height, width = facts.height, facts.width
    if max(height, width) > MAX_SIDE:
        state.refuse(f"{upload.name} has a side of more than {MAX_SIDE} pixels.")
        return
    config = st.session_state[state.STATE].config.replace(height=height, width=width)
    state.change(Notice(f"The input now has the size of {upload.name}.", is_error=False), config=config, layer="")


def _sizes_around(view: View) -> None:
    st.markdown("**Which sizes work**")
    height, width = view.config.height, view.config.width
    sides = [("Side", height)] if height == width else [("Height", height), ("Width", width)]
    met: set[Verdict] = set()
    for name, side in sides:
        found = sides_around(view.config, side)
        met |= {verdict for _, verdict in found}
        st.markdown(" ".join([name, *(_badge(near, verdict) for near, verdict in found)]))
    st.caption("  \n".join(f"{icon} {words}" for verdict, (icon, _, words) in VERDICTS.items() if verdict in met))


def _badge(side: int, verdict: Verdict) -> str:
    icon, colour, _ = VERDICTS[verdict]
    return f":{colour}-badge[{icon} {side}]"


# --- the real error ---------------------------------------------------------------------------------------------------


def _real(view: View, diagnosis: Diagnosis) -> None:
    if not diagnosis.problem:
        return
    ours, theirs = st.columns(2, gap="large")
    with ours:
        st.markdown("**Explanation**")
        st.markdown(text.plain(diagnosis.sentence))
    with theirs:
        st.markdown("**Error message of Keras**")
        if not_runnable(view.config) is None:
            _run_for_real(REAL, view.config, diagnosis.size, "Show the real error")
        else:
            st.caption("This network is too large to be built here.")


def _run_for_real(slot: str, model: UNetConfig | str, size: tuple[int, int], label: str) -> None:
    """Show the button that builds the model with Keras in a separate process, and the result."""
    key = (model, size)
    if st.session_state.get(f"{slot}-wanted") != key:
        st.button(
            label, icon=":material/bug_report:", key=f"{slot}-go", on_click=_request, args=(slot, key),
            help="Builds the Keras model at this size in a separate process; takes a few seconds",
        )  # fmt: skip
        return
    work = background.ask(slot, key, real_error, model, size)
    if not background.done(work):
        background.await_quietly(work, "Keras is building the model in a separate process; this takes a few seconds.")
        return
    _result(work.result())
    if work.result().outcome not in SETTLED:
        st.button("Try again", icon=":material/refresh:", key=f"{slot}-again", on_click=background.forget, args=(slot,))


def _request(slot: str, key: tuple[UNetConfig | str, tuple[int, int]]) -> None:
    st.session_state[f"{slot}-wanted"] = key


def _result(found: RealError) -> None:
    took = f"From Keras in a separate process, after {text.quantity(found.seconds, 's', 1)}."
    if found.outcome == "error":
        st.code(f"{found.error_type}: {found.message}", language=None, wrap_lines=True)
        st.caption(took)
    elif found.outcome == "worked":
        st.markdown(f":material/check_circle: {text.plain(found.message)}")
        st.caption(took)
    else:
        st.warning(text.plain(found.message), icon=":material/hourglass_disabled:")


# --- said and true ----------------------------------------------------------------------------------------------------


def _beliefs(preset: str) -> None:
    """Show what is said of the preset's network, what is true, and the proof, which Keras can be asked for too."""
    st.markdown(f"**{text.plain(PRESETS[preset].title)}: what is said, and what is true**")
    with st.grid(2, min_column_width=300, gap="small"):
        for number, belief in enumerate(beliefs(preset)):
            with st.container(border=True, height="stretch", gap="small"):
                st.markdown(f":material/forum: *{text.plain(belief.said)}*")
                st.markdown(f":material/fact_check: In fact: {text.plain(belief.fact)}")
                st.caption(
                    "  \n".join(f"{text.plain(proof.what)}: **{text.plain(proof.result)}**" for proof in belief.proof)
                )
                if belief.question is not None:
                    model, size = belief.question
                    slot, written = f"{REAL}-belief-{preset}-{number}", f"{size[0]}{text.TIMES}{size[1]}"
                    _run_for_real(slot, model, size, f"Ask Keras at {written}")


# --- three ways to write it -------------------------------------------------------------------------------------------


def _variants(size: tuple[int, int]) -> None:
    diagnosis = outcome(size)
    with st.expander("The subclassed U-Net, written in three ways", key="tutorials"):
        st.caption(text.plain(COMMON))
        with st.grid(3, min_column_width=250, gap="small"):
            for variant in VARIANTS.values():
                with st.container(border=True, height="stretch"):
                    _variant(variant, size, diagnosis)


def _variant(variant: TutorialVariant, size: tuple[int, int], diagnosis: Diagnosis) -> None:
    st.markdown(f"**{text.plain(variant.title)}**")
    st.markdown(f":material/help: *{text.plain(variant.question)}*")
    st.markdown(f":material/fact_check: {text.plain(variant.answer)}")
    written = f"{size[0]}{text.TIMES}{size[1]}"
    works = "works" if diagnosis.problem is None else f"fails at {text.plain(diagnosis.problem.layer)}"
    st.caption(f"At {written} it {works}.")
    with st.popover("Source", icon=":material/code:"):
        st.code(variant.source, language="python", height=420)
    _run_for_real(f"{REAL}-{variant.name}", variant.name, size, f"Run it at {written}")
