"""The Data page's URL parameters."""

from ui.shared import format as text
from ui.shared.url import DEPENDS, Option, declared
from ui.train.options import AUGMENTATION  # noqa: F401 - shared with the Train page
from unet_core.jobs.names import is_file_name

DATA = Option("data", DEPENDS, is_usable=is_file_name)  # Oxford pets if they are installed
BROWSE, STATISTICS, LAB, PITFALLS, OWN = SECTIONS = (
    "Browse",
    "Statistics",
    "Augmentation",
    "Pitfalls",
    "Bring your own",
)
SECTION = Option("section", BROWSE, choices=SECTIONS)

# --- browse -----------------------------------------------------------------------------------------------------------
SPLIT = Option("split", "all", text.words)
SPECIES = Option("species", "all", text.words)
BREED = Option("breed", "all", text.words)
SIZE = Option("size", "any size", choices=("any size", "under 15 %", "15 to 40 %", "over 40 %"))
SEARCH = Option("search")
ORDER = Option("order", "as stored", choices=("as stored", "by name", "smallest first", "largest first"))
PAGE = Option("page", 1)
VIEW = Option("view", "overlay", choices=("overlay", "photo", "mask"))
PHOTO = Option("photo")  # the name of the enlarged photo
CLOSER = Option("closer", "overlay", choices=VIEW.choices)

# --- the other sections -----------------------------------------------------------------------------------------------
PART = Option("part", "all")
SUBJECT = Option("subject")  # the name of the photo to work on
PITFALL = Option("pitfall", DEPENDS)

OPTIONS = declared(globals())
