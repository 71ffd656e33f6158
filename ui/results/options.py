"""The options of the Results page that are kept in its URL."""

from ui.shared.url import DEPENDS, Option, declared

MODEL = Option("of", DEPENDS)  # the manifest's default model
COMPARE, CLASSES, EVERYDAY, RELIABILITY, PICTURES, SPEED = SECTIONS = (
    "Compare",
    "Classes and breeds",
    "Everyday photos",
    "Reliability",
    "Gallery",
    "Measure here",
)
SECTION = Option("figures", COMPARE, choices=SECTIONS)
COST = Option("cost", "time")
NETWORK = Option("network", DEPENDS)  # the shown model
PART = Option("photos", "test")
BREEDS = Option("breeds", "best first", choices=("best first", "worst first", "by name"))
MEASURE = Option("measure", "IoU per photo")
CORRUPTION = Option("corruption", "all")
GALLERY = Option("gallery", "worst", choices=("worst", "most uncertain", "median", "best"))
KIND = Option("kind", "all kinds")
ORDER = Option("composed", "worst", choices=("worst", "best"))

OPTIONS = declared(globals())
