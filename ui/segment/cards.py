"""Cards of a batch: a segmented photo that opens on click, or the reason why segmenting it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from ui.segment.session_results import Result
from ui.shared import format as text
from ui.shared.legend import bar_html
from unet_core.images.render import Colour
from unet_core.segment import Failure
from unet_core.segment.analysis import subject_ids


def result_card(
    result: Result,
    overlay: bytes,
    colours: Sequence[Colour | None],
    *,
    on_open: Callable[[str], None],
    on_remove: Callable[[str], None],
) -> None:
    """Show a result as a card: its overlay, which opens it, its name, shares and time."""
    digest = result.photo.digest
    with st.container(border=True, key=f"card-{digest[:16]}", gap="xsmall"):
        with st.container(key=f"tile-{digest[:16]}", gap=None):
            st.image(overlay, width="stretch", alt=_alt_text(result))
            st.button(
                f"**{text.plain(result.name)}**",
                key=f"open-{digest[:16]}",
                type="tertiary",
                width="stretch",
                wrap=False,
                help=f"Open {text.plain(result.name)}",
                on_click=on_open,
                args=(digest,),
            )
        st.html(bar_html(result.shares, list(colours)))
        with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="xsmall"):
            st.caption(_facts(result), width="stretch")
            _remove_button(result.name, digest, on_remove)


def problem_card(problem: Failure, digest: str, *, on_remove: Callable[[str], None]) -> None:
    """Show why segmenting a photo failed."""
    with st.container(border=True, key=f"card-{digest[:16]}", gap="xsmall"):
        st.markdown(f"**{text.plain(problem.name)}**", wrap=False)
        st.error(text.plain(problem.message), icon=":material/broken_image:")
        with st.container(horizontal=True, horizontal_alignment="right"):
            _remove_button(problem.name, digest, on_remove)


def facts(result: Result) -> str:
    """Return a result's size and its measured time, total and by stage, as Markdown."""
    runs = f" in {result.runs} runs" if result.runs > 1 else ""
    return (
        f"{text.pixels(result.width, result.height)} · **{text.milliseconds(result.timings['total'])}**{runs}: "
        f"{text.stages(result.timings)}"
    )


def _facts(result: Result) -> str:
    subject = subject_ids(result.pixel_classes, border=False) or range(len(result.classes))
    name = max((result.classes[number] for number in subject), key=lambda name: result.shares[name])
    share = result.shares[name]
    return f"{text.plain(name)} {text.percent(share, 0)} · {text.milliseconds(result.timings['total'])}"


def _remove_button(name: str, digest: str, on_remove: Callable[[str], None]) -> None:
    st.button(
        "Remove",
        key=f"remove-{digest[:16]}",
        icon=":material/close:",
        type="tertiary",
        help=f"Remove {text.plain(name)}",
        on_click=on_remove,
        args=(digest,),
    )


def _alt_text(result: Result) -> str:
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    return f"{result.name} with its classes coloured: {shares}"
