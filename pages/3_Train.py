"""Train: start a run, watch it, and use the model; every run has its own URL."""

import streamlit as st

from ui.shared import format as text
from ui.shared import frame, status
from ui.train import controls, done, form, live, options, plots, runs, start
from ui.train.selection import close_run
from unet_core.errors import ConfigError
from unet_core.train import queue
from unet_core.train.run_directory import RunError

settings = frame.page(frame.TRAIN, options=options.OPTIONS)
run_id = options.RUN.hidden("Run")
like, built = options.LIKE.hidden("Like"), options.BUILT.hidden("Built")
if run_id:
    try:
        run = queue.find_run(run_id, settings)
        config = run.config()
    except (RunError, ConfigError, OSError) as error:
        st.warning(text.plain(str(error)), title="This run cannot be shown", icon=":material/search_off:")
        st.session_state.pop(controls.ERROR, None)  # an action that failed for the same reason
        st.button("All runs", icon=":material/arrow_back:", on_click=close_run)
        st.stop()
    controls.head(run, settings)
    if not queue.is_pending(run, settings) and run.has_weights():
        done.results(run, settings)
    live.watch(run, config, settings)
    if run.has_weights():
        plots.plots(run)
    live.about(run, config)
    st.stop()

st.markdown("Press the button and watch a U-Net learn. Training runs beside the app: close the page, and it continues.")
status.training_line(settings)
preset = form.choose_preset(like, settings)
about_slot = st.container()
start_slot = st.container()
form_slot = st.container()
with form_slot:
    draft = form.choose_rest(preset, built, settings)
with about_slot:
    form.describe(draft)
with start_slot:
    start.start_panel(draft, settings)
if not runs.section(settings):
    start.examples(draft)
