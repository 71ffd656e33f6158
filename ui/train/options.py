"""What the Train page keeps in its address: a run, or a form and what it begins with, so that links find both."""

from ui.shared.url import DEPENDS, Option, declared
from ui.train import charts, fields
from unet_core.train.presets import TRAINING_PRESETS

BUILT_NETWORK = "from the Architecture page"  # what the list of networks calls the one of `BUILT`
OWN_NETWORK = "as in the preset"

# --- what is shown ----------------------------------------------------------------------------------------------------
RUN = Option("run")  # a run's id
COMPARED = Option("compare")  # ids of runs, separated by commas

# --- what the form begins with ----------------------------------------------------------------------------------------
RECIPE = Option("recipe", next(iter(TRAINING_PRESETS.values())).title)
LIKE = Option("like")  # the id of a run with these settings
BUILT = Option("built")  # a network of the Architecture page, as its `written` gives it
DATASET = Option("dataset", DEPENDS)
NETWORK = Option("unet", OWN_NETWORK)
ORIGIN = Option("start_from", DEPENDS)  # the model or run whose weights the run begins with
TEACHER = Option("distill_from", DEPENDS)  # the model or run whose answers it learns from beside the masks
AUGMENTATION = Option("augmentation")  # what the lab of the Data page changed, as JSON

# --- curves -----------------------------------------------------------------------------------------------------------
OVER = Option("over", "epochs")
METRIC = Option("metric", next(iter(charts.SCORES)))
SMOOTHING = Option("smoothing", 0.6)
LOG = Option("log", False)
CURVE = Option("curve", next(iter(charts.SCORES)))

FIELDS = tuple(field.option for field in fields.FIELDS)
OPTIONS = (*declared(globals()), *FIELDS)
