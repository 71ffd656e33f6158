"""The buttons of a run: stop and resume it, name, pin and delete it, and move it in the queue."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from ui.shared import format as text
from ui.shared import training
from ui.shared.access import is_mine, limited, my_runs
from ui.shared.run_status import COLOURS, ICONS, WORDS, distinct_names
from ui.train.form import begin_like
from ui.train.selection import close_run
from unet_core.errors import UNetError
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.run_directory import RunDirectory, Status

MOST_EPOCHS = 100_000  # as in `TrainConfig`
ERROR, NAME, EPOCHS = "train-control-error", "train-rename", "train-more-epochs"
MINE = (
    ":material/lock: Only you have this run in your list. Whoever gets its address can watch it, its pictures "
    "included, and use its model, but not change it."
)
OF_OTHERS = (
    ":material/lock: This is another visitor's run, opened by its address: you can watch it and use its model, but "
    "not change it."
)
SHARED = ":material/group: All visitors of this server see and change its runs."


def head(run: RunDirectory, settings: Settings) -> None:
    """Draw the run's name and state, and the buttons that change it."""
    status, label = run.status(), run.label()
    mine = is_mine(label.owner, settings)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="train-head"):
        st.button("All runs", icon=":material/arrow_back:", key="train-back", type="tertiary", on_click=close_run)
        st.subheader(text.plain(_named(run, settings)), anchor=False, width="content")
        st.badge(WORDS[status.shown], icon=ICONS[status.shown], color=COLOURS[status.shown])
        if label.pinned:
            st.badge("pinned", icon=":material/keep:", color="gray")
        if mine:
            _state_buttons(run, status, settings)
            _name_and_pin(run, label.name, label.pinned, SHARED if settings.shared else MINE)
        st.button(
            "Another like this",
            icon=":material/content_copy:",
            key="train-like",
            help="Opens the form with this run's settings",
            on_click=begin_like,
            args=(run,),
        )
        if mine and not status.active:
            _delete(run, settings)
    if not mine:
        st.caption(OF_OTHERS)
    if error := st.session_state.pop(ERROR, ""):
        st.error(text.plain(error), icon=":material/error:")
    if status.reason:
        _reason(status)


def _named(run: RunDirectory, settings: Settings) -> str:
    """Return the run's name, with the time when it was created if another run has the same."""
    return distinct_names({other.id: other.label() for other in my_runs(settings)}).get(run.id, run.label().name)


def _state_buttons(run: RunDirectory, status: Status, settings: Settings) -> None:
    position = queue.position(run, settings)
    if status.state == "queued" and position is not None:
        first = _first_position(settings)
        if position > first:
            _button(
                "Move to the front", ":material/vertical_align_top:", "train-first", queue.move, run, first, settings
            )
        _button("Remove from the queue", ":material/close:", "train-stop", queue.stop, run, settings)
    elif status.active:
        stopping = status.state == "stopping"
        _button("Stop", ":material/stop:", "train-stop", queue.stop, run, settings, primary=True, disabled=stopping)
    elif not training.is_open(settings):
        return
    elif status.state != "finished":
        words = "Train longer" if status.shown == "finished" else "Resume"
        _button(
            words, ":material/play_arrow:", "train-resume", queue.resume, run, None, limited(settings), primary=True
        )
    elif status.epochs < MOST_EPOCHS:
        with st.popover("Train longer", icon=":material/forward:", key="train-longer"):
            suggested = min(max(2 * status.epochs, 1), MOST_EPOCHS)
            st.number_input("Epochs in all", status.epochs + 1, MOST_EPOCHS, suggested, key=EPOCHS)
            st.button(
                "Train longer", icon=":material/play_arrow:", key="train-resume", on_click=_longer, args=(run, settings)
            )


def _first_position(settings: Settings) -> int:
    """Return the foremost position in the queue that a visitor may give to a run: no run of others is overtaken."""
    mine = (is_mine(run.label().owner, settings) for run in queue.waiting(settings))
    return next((number for number, found in enumerate(mine, 1) if found), 1)


def _button(
    label: str,
    icon: str,
    key: str,
    action: Callable[..., object],
    *arguments: object,
    primary: bool = False,
    disabled: bool = False,
) -> None:
    st.button(
        label,
        icon=icon,
        key=key,
        type="primary" if primary else "secondary",
        disabled=disabled,
        on_click=_try,
        args=(action, *arguments),
    )


def _try(action: Callable[..., object], *arguments: object) -> None:
    """Call a function on a run, and keep its error for the next rerun."""
    try:
        action(*arguments)
    except (UNetError, OSError) as error:
        st.session_state[ERROR] = str(error)


def _longer(run: RunDirectory, settings: Settings) -> None:
    _try(queue.resume, run, st.session_state[EPOCHS], limited(settings))


def _name_and_pin(run: RunDirectory, name: str, pinned: bool, whose: str) -> None:
    with st.popover("Name and pin", icon=":material/edit:", key="train-name-pin"):
        st.text_input("Name", name, key=f"{NAME}-{run.id}", max_chars=120, on_change=_rename, args=(run,))
        st.toggle(
            "Pin",
            pinned,
            key=f"train-pin-{run.id}",
            help="Pinned runs are never deleted to make room for new ones",
            on_change=_pin,
            args=(run,),
        )
        st.caption(whose)


def _rename(run: RunDirectory) -> None:
    _try(queue.rename, run, st.session_state[f"{NAME}-{run.id}"])


def _pin(run: RunDirectory) -> None:
    _try(queue.pin, run, st.session_state[f"train-pin-{run.id}"])


def _delete(run: RunDirectory, settings: Settings) -> None:
    with st.popover("Delete", icon=":material/delete:", key="train-delete"):
        st.markdown("Its model, curves and pictures are removed from this server.")
        st.button("Delete now", type="primary", key="train-delete-now", on_click=_delete_now, args=(run, settings))


def _delete_now(run: RunDirectory, settings: Settings) -> None:
    _try(queue.delete, run, settings)
    if not st.session_state.get(ERROR):
        close_run()


def _reason(status: Status) -> None:
    sentence = text.plain(status.reason[:1].upper() + status.reason[1:])
    if status.state == "failed":
        st.error(sentence, title="This run failed", icon=":material/error:")
    elif status.state == "interrupted":
        st.warning(sentence, title="This run was interrupted", icon=":material/power_off:")
    else:
        st.caption(f":material/info: {sentence.removesuffix('.')}.")
