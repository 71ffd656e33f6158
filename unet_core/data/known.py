"""What is known of a dataset without reading its photos."""

from __future__ import annotations

from dataclasses import dataclass

from unet_core.classes import CLASS_NAMES
from unet_core.data.own.report import channels_of, saved_report
from unet_core.data.oxford import oxford_pets
from unet_core.data.synthetic import pets as synthetic


@dataclass(frozen=True)
class KnownDataset:
    """What decides whether a dataset can be mixed with others, see `check_mixture`."""

    class_names: tuple[str, ...]
    bands: int = 3
    asked_channels: int = 3  # of the network

    @property
    def channels(self) -> int:
        """Channels of the photos for that network."""
        return channels_of(self.bands, self.asked_channels)


def known_dataset(data: str) -> KnownDataset | None:
    """Return what is known of the dataset of that name or path; None if it was not inspected."""
    if data in (oxford_pets.NAME, synthetic.NAME):
        return KnownDataset(CLASS_NAMES)
    report = saved_report(data)
    return None if report is None or report.coding is None else KnownDataset(report.class_names, report.bands)
