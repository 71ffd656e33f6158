"""The options that the Segment page keeps in its address."""

from ui.shared.url import DEPENDS, Option, declared

# --- photos -----------------------------------------------------------------------------------------------------------
SAMPLE = Option("sample")  # the name of a sample photo, which it adds
OPEN = Option("open")  # the start of the opened photo's digest
VIEW, CONFIDENCE, COMPARE, TRUTH, DOWNLOAD, SPEED = SECTIONS = (
    "View",
    "Confidence",
    "Compare",
    "Ground truth",
    "Download",
    "Speed",
)
SECTION = Option("look", VIEW, choices=SECTIONS)
CARDS = Option("cards", "cut-outs", choices=("cut-outs", "overlays"))

# --- one photo --------------------------------------------------------------------------------------------------------
SHOW = Option("show", "cut-out", choices=("cut-out", "overlay", "mask"))
SPLIT = Option("before-after", False)  # before and after, with a divider
MAP = Option("map", "probabilities", choices=("probabilities", "uncertainty", "threshold"))
ANYWAY = Option("anyway", False)  # show what was found although there may be no pet
LEAST = Option("least", 0)  # percent: smaller pieces are left out and smaller holes filled
OPACITY = Option("opacity", 45)  # percent
OUTLINE = Option("outline", True)
BACKDROP = Option("backdrop", "transparent", choices=("transparent", "white", "blurred", "colour", "photo"))
THRESHOLD = Option("threshold", 0.5)
WITH_BORDER = Option("with-border", True)
DIFFERENCE = Option("difference", "difference", choices=("difference", "side by side", "slider"))
PALETTE = Option("palette", "Okabe and Ito")
GROUND = Option("ground", True)

# --- model and inference mode -----------------------------------------------------------------------------------------
MODEL = Option("model")
WAY = Option("way", "whole photo", choices=("whole photo", "tiles"))
SCALE = Option("scale", "automatic", choices=("automatic", "25 %", "50 %", "100 %"))
OVERLAP = Option("overlap", 25)  # percent
FLIPS = Option("flips", False)
ENGINE = Option("engine", "automatic", choices=("automatic", "ONNX Runtime", "TensorFlow"))

# --- the same options for the comparison ------------------------------------------------------------------------------
MODEL2 = Option("model2", DEPENDS)
WAY2 = Option("way2", DEPENDS)
SCALE2 = Option("scale2", SCALE.default)
OVERLAP2 = Option("overlap2", OVERLAP.default)
FLIPS2 = Option("flips2", FLIPS.default)

OPTIONS = declared(globals())
