"""Data: a segmentation dataset, its augmentation, classic mistakes with it, and custom datasets."""

from ui.data import browse, lab, options, own, pitfalls, sets, statistics
from ui.data.catalogue import opened
from ui.shared import frame
from ui.shared.sections import chosen_section
from ui.train import augmentation_choice

settings = frame.page(
    frame.DATA,
    "Data",
    "A U-Net trains on photos and masks. Browse both, preview data augmentation, see the classic mistakes, and check "
    "a dataset of your own before training on it.",
    options=options.OPTIONS,
)
augmentation_choice.training_augmentation()  # read the URL parameter even if the Augmentation section is closed
dataset = sets.picker(settings, on_change=browse.forget_choices)
section = chosen_section(options.SECTION)
if section == options.OWN:
    own.section(dataset, settings)
elif catalogue := opened(dataset, settings):
    if section == options.BROWSE:
        browse.section(catalogue)
    elif section == options.STATISTICS:
        statistics.section(catalogue)
    elif section == options.LAB:
        lab.section(catalogue)
    elif section == options.PITFALLS:
        pitfalls.section(catalogue, settings)
