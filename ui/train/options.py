"""What the Train page keeps in its URL: a run, or the form and its first values."""

from ui.shared.run_status import RUN  # noqa: F401 - an option of this page
from ui.shared.url import DEPENDS, Option, declared
from ui.train import charts, fields, mixed_in
from unet_core.jobs.names import is_file_name
from unet_core.train.presets import TRAINING_PRESETS

BUILT_NETWORK = "from the Architecture page"  # the name of the network in `BUILT` in the list of networks
OWN_NETWORK = "as in the preset"

# --- what is shown ----------------------------------------------------------------------------------------------------
COMPARED = Option("compare")  # ids of runs, separated by commas
SWEEP = Option("sweep", is_usable=lambda text: bool(text.strip()))  # the name of a sweep

# --- the form's first values ------------------------------------------------------------------------------------------
RECIPE = Option("recipe", next(iter(TRAINING_PRESETS.values())).title)
LIKE = Option("like")  # the id of a run with these settings
BUILT = Option("built")  # a network of the Architecture page, as its `written` returns it
DATASET = Option("dataset", DEPENDS, is_usable=is_file_name)
MIX = Option("mix", DEPENDS, is_usable=mixed_in.is_readable)  # the datasets that are mixed in
NETWORK = Option("unet", OWN_NETWORK)
ORIGIN = Option("start_from", DEPENDS)  # the model or run whose weights the run starts from
TEACHER = Option("distill_from", DEPENDS)  # the model or run that teaches it
AUGMENTATION = Option("augmentation")  # the changes of the Data page's lab, as JSON

# --- curves -----------------------------------------------------------------------------------------------------------
OVER = Option("over", "epochs")
METRIC = Option("metric", next(iter(charts.SCORES)))
SMOOTHING = Option("smoothing", 0.6)
LOG = Option("log", False)
CURVE = Option("curve", next(iter(charts.SCORES)))

FIELDS = tuple(field.option for field in fields.FIELDS)
OPTIONS = (*declared(globals()), *FIELDS)
