"""The Architecture page's address parameters: a configuration, and what the page shows of it."""

from ui.shared.url import Option, declared
from unet_core.architecture import query

LAYERS, DOCTOR, MAPS, CODE, COMPARE = "Layers", "Shape doctor", "Feature maps", "Code", "Compare"
EXPERIMENT, BUGS = "Experiment", "Find your bug"
SECTIONS = (LAYERS, DOCTOR, MAPS, EXPERIMENT, CODE, COMPARE, BUGS)
APART = (EXPERIMENT, BUGS)  # about other networks than the page's, whose diagram would push them below the fold
PLAY, SWITCH, FAIL, PIXEL, ARITHMETIC = EXPERIMENTS = (
    "Play",
    "Switch it off",
    "Make it fail",
    "Why this pixel?",
    "A layer on real pixels",
)
GATE_STATES = ("On", "Half", "Off", "Noise")

LAYER = Option("layer")  # a layer's name or a block's key
TAB = Option("tab", LAYERS)
BATCH = Option("batch", 1)
AGAINST = Option("against")  # the configuration to compare with, encoded as an address of its own
WIDE = Option("wide", False, is_usable=bool)  # `state` validates it
SHOWN_EXPERIMENT = Option("experiment", PLAY)
SWITCHED = Option("switched")  # what is changed on skip connections: "skip1-Half.skip4-Off"

VIEW = declared(globals())
NETWORK = tuple(Option(name) for name in (query.PRESET, *query.fields()))
OPTIONS = (*NETWORK, *VIEW)
