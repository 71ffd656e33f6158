"""Cards of the batch: one segmented photo that opens on a click, or the sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from ui.segment.session_results import Result
from ui.shared import format as text
from ui.shared.legend import bar_html
from unet_core.images.render import Colour
from unet_core.segment import Failure


def result_card(
    result: Result,
    overlay: bytes,
    colours: Sequence[Colour | None],
    *,
    on_open: Callable[[str], None],
    on_remove: Callable[[str], None],
) -> None:
    """Show one result small: its overlay, which is a button as a whole, its name, its shares, its time."""
    digest = result.photo.digest
    with st.container(border=True, key=f"card-{digest[:16]}", gap="xsmall"):
        with st.container(key=f"tile-{digest[:16]}", gap=None):
            st.image(overlay, width="stretch", alt=_spoken(result))
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
    """Show why a photo has no result."""
    with st.container(border=True, key=f"card-{digest[:16]}", gap="xsmall"):
        st.markdown(f"**{text.plain(problem.name)}**", wrap=False)
        st.error(text.plain(problem.message), icon=":material/broken_image:")
        with st.container(horizontal=True, horizontal_alignment="right"):
            _remove_button(problem.name, digest, on_remove)


def facts(result: Result) -> str:
    """Return a result's size and its time, in all and by stage, as Markdown; the times are what was measured."""
    runs = f" in {result.runs} runs" if result.runs > 1 else ""
    return (
        f"{text.pixels(result.width, result.height)} · **{text.milliseconds(result.timings['total'])}**{runs}: "
        f"{text.stages(dict(result.timings))}"
    )


def _facts(result: Result) -> str:
    name, share = next(iter(result.shares.items()))
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


def _spoken(result: Result) -> str:
    shares = ", ".join(f"{name} {text.percent(share)}" for name, share in result.shares.items())
    return f"{result.name} with its classes coloured in: {shares}"
