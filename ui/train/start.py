"""Before a run starts: what it needs on this machine, what it saves, a photo to watch, and the button."""

from __future__ import annotations

import itertools

import streamlit as st

from ui.data.catalogue import first_drawn
from ui.data.options import OWN, SECTION
from ui.shared import background, download, frame, polling, training, visitor
from ui.shared import format as text
from ui.shared.access import limited, my_runs
from ui.train.form import Draft, problem_list
from ui.train.selection import open_run
from unet_core.errors import ConfigError, UNetError
from unet_core.images.samples import CAT_CREDIT, cat_png
from unet_core.jobs.background_job import JobError
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.checks import problems
from unet_core.train.config import TrainConfig
from unet_core.train.data_warnings import data_warnings
from unet_core.train.estimate import Estimate, estimate
from unet_core.train.parts import parts_sentence
from unet_core.train.step_timing import start_step_timing, step_timing_job

EXAMPLES = 6
CHECK, ERROR, UPLOAD, CAT, NAME = "train-check", "train-error", "train-upload", "train-cat", "train-name"
SAVED = """
Everything is stored in one folder on this server, readable at any time, even after a crash:

- the **model**: weights of the best and of the last epoch, and an ONNX file at the end
- the **curves**: loss and metrics of every epoch and twice a second, as CSV and for TensorBoard
- the **pictures**: predictions for the same few photos after each epoch
- the **settings**, versions, seed and machine, so that the run can be repeated
- the **training state**, to resume after the last whole epoch
"""


def start_panel(draft: Draft, settings: Settings) -> None:
    """Draw the estimate and the button that starts the run."""
    expected, found, advice = _check(draft, settings)
    is_open = training.is_open(settings)
    with st.container(border=True, key="train-go"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            with st.container(horizontal=True, vertical_alignment="bottom", width="content"):
                st.button(
                    f"Start the {draft.preset.title}"
                    if draft.preset.name and draft.preset.title[0].isdigit() and draft.dataset.kind != "own"
                    else "Start training",
                    icon=":material/play_arrow:",
                    type="primary",
                    key="train-start",
                    disabled=draft.config is None or bool(found) or not is_open,
                    on_click=_start,
                    args=(draft, settings),
                )
                if is_open:
                    _photo()
                    _more(draft)
            if expected is not None and draft.config is not None and is_open:
                _measure(draft.config, expected, settings)
        if expected is not None:
            _figures(expected)
            if draft.config is not None and (draft.reads_folders or draft.is_mixed):
                st.caption(text.plain(parts_sentence(draft.config)))
        if not is_open:
            training.closed_note(settings, "train")
            _elsewhere(draft)
        elif expected is not None:
            _time_limit(expected, settings)
    if st.session_state.get(ERROR):
        st.error(text.plain(st.session_state.pop(ERROR)), title="Training has not started", icon=":material/error:")
    if found:
        problem_list(found)
    for sentence in advice:
        st.warning(text.plain(sentence), icon=":material/zoom_out:")
    if not draft.dataset.installed and draft.dataset.kind == "own":
        frame.link_to(frame.DATA, "Upload a dataset on the Data page", {SECTION.name: OWN})


def _elsewhere(draft: Draft) -> None:
    """Show how to train the same on another machine."""
    if draft.config is None or draft.reads_folders:
        return
    st.caption("On your own machine, with this configuration:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.code("python -m unet_core train --config unet.json", language="bash", width="content")
        download.button(
            "unet.json",
            draft.config.to_json(),
            "unet.json",
            "application/json",
        )


def _time_limit(expected: Estimate, settings: Settings) -> None:
    minutes = limited(settings).visitor_run_minutes
    if minutes and (expected.seconds is None or expected.seconds > 60 * minutes):
        st.caption(f":material/timer: A run on this server ends after {text.number(minutes)} minutes of training.")


def _check(draft: Draft, settings: Settings) -> tuple[Estimate | None, tuple[str, ...], tuple[str, ...]]:
    """Return what the run needs, what keeps it from starting, and what to consider."""
    if draft.config is None:
        return None, draft.problems, ()
    try:
        expected = estimate(draft.config, settings)
    except ConfigError as error:
        return None, error.findings or (str(error),), ()
    if not draft.reads_folders:
        return expected, problems(draft.config, settings), ()
    # This reads every mask of the dataset once.
    work = background.ask(CHECK, draft.config.to_json(None), _checked, draft.config, settings)
    if not background.done(work):
        background.await_quietly(work, "Checking the dataset: every mask is read once.")
        return expected, ("The dataset is still being checked.",), ()
    try:
        return expected, *work.result()
    except UNetError as error:
        return expected, (str(error),), ()


def _checked(config: TrainConfig, settings: Settings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return problems(config, settings), data_warnings(config, settings)


def _figures(expected: Estimate) -> None:
    rough = "" if expected.measured else "≈ "
    photos = "–" if expected.photos is None else text.number(expected.photos)
    steps = "–" if expected.steps is None else text.number(expected.steps)
    seconds = "–" if expected.seconds is None else rough + text.duration(expected.seconds)
    with st.grid(6, min_column_width=110, gap="small"):
        st.metric("Parameters", text.number(expected.parameters))
        st.metric("Photos to train on", photos)
        st.metric("Steps", steps, help="Batches over all epochs")
        st.metric("Time here", seconds, help=_how_known(expected))
        st.metric("Memory", rough + text.byte_size(round(1e6 * expected.memory_mb)), help=_how_known(expected))
        st.metric("Disk space", "≈ " + text.byte_size(round(1e6 * expected.disk_mb)))


def _how_known(expected: Estimate) -> str:
    if expected.measured:
        return "From a few real steps of this network on this machine, if nothing else runs beside it"
    return "A rough estimate from the network's multiplications; measure it for a better one"


def _measure(config: TrainConfig, expected: Estimate, settings: Settings) -> None:
    """Offer to time a few steps, or show that this is running or done."""
    if expected.measured:
        st.badge("measured here", icon=":material/check:", color="green")
        return
    job = step_timing_job(config, settings)
    found = job.status()
    if found.state == "running":

        def show() -> None:
            st.caption(":material/speed: A few real steps are being timed…", width="content")

        polling.poll(show, ended=lambda: job.status().state != "running", every=polling.SOON)
        return
    if found.state == "failed":
        st.caption(f":material/error: {text.plain(found.reason)}", width="content")
    st.button(
        "Measure here",
        icon=":material/speed:",
        key="train-measure",
        on_click=_time_step,
        args=(config, settings),
        help="Times a few real steps of this network in a separate process: 10 to 20 seconds",
    )


def _time_step(config: TrainConfig, settings: Settings) -> None:
    try:
        start_step_timing(config, settings)
    except (JobError, ConfigError) as error:
        st.session_state[ERROR] = str(error)


def _photo() -> None:
    """Let the visitor choose a photo whose mask is predicted after each epoch."""
    held = st.session_state.get(UPLOAD) is not None or st.session_state.get(CAT)
    with st.popover(
        "Your own photo: chosen" if held else "Your own photo", icon=":material/add_a_photo:", key="train-photo"
    ):
        st.markdown("A photo that is predicted after each epoch, beside those of the dataset.")
        st.file_uploader("Photo", key=UPLOAD, type=["jpg", "jpeg", "png", "webp"], label_visibility="collapsed")
        st.toggle("The sample cat", key=CAT, persist_state="session", help=CAT_CREDIT)


def _more(draft: Draft) -> None:
    with st.popover("Name and saved files", icon=":material/save:", type="tertiary"):
        st.text_input("Name of the run", key=NAME, placeholder=draft.name, max_chars=80, persist_state="session")
        st.markdown(SAVED)


def _unused(name: str, settings: Settings) -> str:
    """Return `name`, with a number after it if another run of the visitor has that name."""
    taken = {run.label().name for run in my_runs(settings)}
    numbered = (f"{name} {number}" for number in itertools.count(2))
    return name if name not in taken else next(other for other in numbered if other not in taken)


def _start(draft: Draft, settings: Settings) -> None:
    file = st.session_state.get(UPLOAD)
    photo = file.getvalue() if file is not None else cat_png() if st.session_state.get(CAT) else None
    name = _unused(st.session_state.get(NAME, "").strip() or draft.name, settings)
    if draft.config is None:  # the button is disabled then
        return
    try:
        run = queue.submit(draft.config, name, photo, limited(settings), visitor.owner())
    except UNetError as error:
        st.session_state[ERROR] = str(error)
        return
    st.session_state.pop(NAME, None)
    open_run(run.id)


def examples(draft: Draft) -> None:
    """Show a few training photos, for a dataset that has them at once."""
    if draft.dataset.kind != "drawn":
        return
    of = f" of {text.plain(draft.dataset.name)}" if draft.mixed_in else ""
    st.markdown(f"**Training photos{of}**")
    with st.grid(6, min_column_width=104, gap="small"):
        for picture in first_drawn()[:EXAMPLES]:
            st.image(picture, width="stretch", alt="A synthetic pet with its mask")
