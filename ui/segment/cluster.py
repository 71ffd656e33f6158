"""A folder of photos that the cluster's workers share: choose one, start its segmentation, watch and stop it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import PurePath

import streamlit as st

from ui.segment.batch_downloads import KINDS
from ui.segment.inference import choose, named
from ui.segment.session_results import Choice
from ui.shared import background, polling, training, visitor
from ui.shared import format as text
from ui.shared.models import ModelChoice
from unet_core.errors import UNetError
from unet_core.jobs.background_job import BackgroundJob, JobStatus
from unet_core.jobs.disclosure import without_addresses
from unet_core.segment import batch, cluster_job
from unet_core.segment.cluster_job import Ending, Plan
from unet_core.settings import Settings

PANEL, FOLDER, FILES = "cluster", "cluster-folder", "cluster-files"  # keys of widgets
LISTED, COUNTED, ERROR = "cluster-listed", "cluster-counted", "cluster-error"  # session keys
FILE_KINDS = {label: kind for label, kind in KINDS.items() if kind in batch.KINDS}
NEWS_SECONDS = 24 * 3600.0  # for how long a visitor who comes back is shown how a job has ended
DEFAULT_FILES = [label for label, kind in FILE_KINDS.items() if kind == "mask"]
LEAD = (
    "Photos that are on the cluster's storage already, as many as there are: its workers segment a folder without its "
    "subfolders, in the background. Nothing is uploaded, and this page may be closed."
)


def cluster_section(choice: Choice | None, models: Sequence[ModelChoice], settings: Settings) -> None:
    """Draw the section if the operator offers photos on a cluster; without a `choice`, it lets the visitor choose."""
    if not settings.cluster_photos:
        return
    job = cluster_job.job_of(_owner(settings), settings)
    found = job.status()
    running = found.state == "running"
    is_news = running or abs(time.time() - found.heartbeat) < NEWS_SECONDS
    panel = st.expander(
        "A folder on the cluster", icon=":material/lan:", expanded=is_news, key=PANEL, on_change="rerun"
    )
    if not panel.open:
        return
    with panel:
        st.caption(LEAD)
        if running:
            _watch(job, models)
            return
        _show_end(job, models, settings)
        if not training.is_open(settings):
            training.closed_note(settings, "cluster")
            return
        try:
            _form(choice, models, settings)
        except UNetError as error:
            _look_again()
            st.warning(_sentence(str(error), settings), icon=":material/folder_off:")
        if error := st.session_state.pop(ERROR, ""):
            st.error(_sentence(error, settings), icon=":material/error:")


def _owner(settings: Settings) -> str:
    return "shared" if settings.shared else visitor.owner()


def _sentence(problem: str, settings: Settings) -> str:
    for place in (settings.cluster_photos.rstrip("/"), settings.cluster_results_folder):
        problem = problem.replace(f"{place}/", "").replace(place, PurePath(place).name)
    return text.plain(without_addresses(problem))


# --- while it runs ----------------------------------------------------------------------------------------------------


def _watch(job: BackgroundJob, models: Sequence[ModelChoice]) -> None:
    def show() -> None:
        found = job.status()
        share = found.done / found.total if found.total else 0.0
        stopping = job.is_stopping()
        words = "Stopping: photos that workers have started are finished" if stopping else progress(found)
        st.progress(min(1.0, share), words)
        st.button(
            "Stop",
            icon=":material/stop:",
            key="cluster-stop",
            disabled=stopping,
            help="What is done stays done, and the next start does only the rest.",
            on_click=_stop,
            args=(job,),
        )

    st.markdown(_title(job, models))
    polling.poll(show, ended=lambda: job.status().state != "running")


def _stop(job: BackgroundJob) -> None:
    job.cancel()


def progress(found: JobStatus) -> str:
    """Return how far a job is, in words."""
    photos = f"{text.number(found.done)} of {text.number(found.total)} photos"
    if found.phase == cluster_job.READING:
        return "Reading the folder"
    if found.phase == cluster_job.WAITING:
        return f"Waiting: the cluster has no worker now. {photos} are done"
    if found.phase != cluster_job.SEGMENTING:
        return "Starting a separate process, which takes some seconds"
    if not found.rate:
        return f"Segmenting: {photos}"
    rate = text.number(found.rate, 0 if found.rate >= 10 else 1)
    left = text.duration(max(1.0, (found.total - found.done) / found.rate))
    return f"Segmenting: {photos}, {rate} a second, about {left} left"


def _title(job: BackgroundJob, models: Sequence[ModelChoice]) -> str:
    plan = cluster_job.plan_of(job)
    if plan is None:
        return ""
    title = next((model.title for model in models if model.name == plan.model), plan.model)
    files = ", ".join(label for label, kind in FILE_KINDS.items() if kind in plan.files.split(","))
    return f"**{text.escaped(_folder_title(plan.folder))}** · {text.plain(title)} · {files}"


def _folder_title(name: str) -> str:
    return name or "The shared folder itself"


# --- after it has ended -----------------------------------------------------------------------------------------------


def _show_end(job: BackgroundJob, models: Sequence[ModelChoice], settings: Settings) -> None:
    found, plan = job.status(), cluster_job.plan_of(job)
    if plan is None or found.state == "idle":
        return
    st.markdown(_title(job, models))
    label, problems = "Try again", ()
    if found.state == "finished":
        ending = cluster_job.ending_of(job) or Ending(found.done)
        _show_done(ending, plan)
        label, problems = "Try the failed ones again" if ending.failed else "", ending.problems.splitlines()
    elif found.state == "cancelled":
        done = f" at {text.number(found.done)} of {text.number(found.total)} photos" if found.total else ""
        st.info(f"Stopped{done}. What is done stays done.", icon=":material/stop_circle:")
        label = "Continue"
    else:
        st.error(_sentence(found.reason, settings), title="The folder was not finished", icon=":material/error:")
    with st.container(horizontal=True):
        if problems:
            _show_problems(problems, settings)
        if label and training.is_open(settings):
            st.button(label, icon=":material/refresh:", key="cluster-again", on_click=_start, args=(plan, settings))


def _show_done(ending: Ending, plan: Plan) -> None:
    good = ending.photos - ending.failed
    earlier = f", {text.number(ending.earlier)} of them before" if ending.earlier else ""
    links = f" {_photos(ending.links)} left out, because they are links." if ending.links else ""
    where = f"The files are in **{text.escaped(plan.results)}**, in the folder for results."
    if good:
        st.success(f"{_photos(good)} segmented{earlier}. {where}{links}", icon=":material/check_circle:")
    if ending.failed:
        st.warning(f"{_photos(ending.failed)} could not be segmented.", icon=":material/broken_image:")


def _show_problems(problems: Sequence[str], settings: Settings) -> None:
    few = len(problems) < cluster_job.MOST_NAMED
    with st.popover(
        "Which ones" if few else f"The first {len(problems)}", icon=":material/list:", key="cluster-failed"
    ):
        st.markdown("\n".join(f"- {_sentence(problem, settings)}" for problem in problems))


def _photos(count: int) -> str:
    return "1 photo" if count == 1 else f"{text.number(count)} photos"


# --- before it starts -------------------------------------------------------------------------------------------------


def _form(choice: Choice | None, models: Sequence[ModelChoice], settings: Settings) -> None:
    """Draw what the visitor chooses and the button that starts it.

    Raises:
        FolderError, StorageError: the photos cannot be read.
    """
    listing = background.ask(LISTED, settings.cluster_photos, cluster_job.photo_folders, settings, is_long=True)
    if not background.done(listing):
        background.await_quietly(listing, "Looking for folders.")
        return
    folders = listing.result()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folder = st.selectbox(
            "Folder",
            folders.names,
            format_func=_folder_title,
            key=FOLDER,
            persist_state="session",
            help=None
            if folders.whole
            else "Not all folders are listed: there are many, or some names cannot be shown.",
        )
        st.button("Look again", icon=":material/refresh:", key="cluster-refresh", type="tertiary", on_click=_look_again)
    has_photos = _show_count(folder, settings)
    labels = st.pills(
        "Files for each photo",
        list(FILE_KINDS),
        selection_mode="multi",
        default=DEFAULT_FILES,
        key=FILES,
        persist_state="session",
        help="Cut-outs and overlays are about as large as the photos; masks and outlines are small.",
    )
    if choice is None:
        choice = choose(models)
    else:
        st.caption(f"With the model and inference mode chosen above: {text.plain(named(choice, models))}.")
    files = tuple(FILE_KINDS[label] for label in labels)
    plan = Plan.of(folder, choice.model, files, choice.engine, choice.mode)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Start on the cluster",
            icon=":material/play_arrow:",
            key="cluster-start",
            type="primary",
            disabled=not (has_photos and files),
            on_click=_start,
            args=(plan, settings),
        )
        st.caption(f"The files go to **{text.escaped(plan.results)}**, in the folder for results.", width="content")


def _show_count(folder: str, settings: Settings) -> bool:
    """Draw how many photos a folder has, and return whether there may be any."""
    work = background.ask(COUNTED, folder, cluster_job.count_photos, folder, settings, is_long=True)
    if not background.done(work):
        background.await_quietly(work, "Counting the photos.")
        return False
    count = work.result()
    if count is None:
        st.caption("Too many photos to count them here: they are counted at the start.")
        return True
    some = _photos(count.photos) if count.photos else "No photos"
    st.caption(f"{some} in this folder." if count.whole else f"At least {some.lower()} in this folder.")
    return bool(count.photos) or not count.whole


def _look_again() -> None:
    background.forget(LISTED)
    background.forget(COUNTED)


def _start(plan: Plan, settings: Settings) -> None:
    try:
        cluster_job.start(plan, _owner(settings), settings)
    except UNetError as error:
        st.session_state[ERROR] = str(error)
