"""What visitors see and change: their own runs and datasets, and those of others only by their address."""

from __future__ import annotations

from ui.shared import visitor
from unet_core.settings import Settings
from unet_core.train import queue
from unet_core.train.run_directory import RunDirectory


def is_mine(owner: str, settings: Settings) -> bool:
    """Return whether the visitor may list and change what belongs to `owner`.

    What the command line has made has no owner; it belongs to whoever uses a browser on this machine. With
    `UNET_SHARED=true` everything belongs to everybody.
    """
    if settings.shared:
        return True
    return owner == visitor.owner() if owner else visitor.is_local()


def limited(settings: Settings) -> Settings:
    """Return the settings with the limits that apply to the visitor: none to a browser on this machine."""
    if not visitor.is_local():
        return settings
    none = {"visitor_runs": 0, "visitor_run_minutes": 0, "visitor_datasets": 0, "visitor_datasets_mb": 0}
    return settings.replace(**none, dataset_days=0)


def my_runs(settings: Settings) -> list[RunDirectory]:
    """Return the visitor's runs, the newest first."""
    return queue.all_runs(settings, lambda label: is_mine(label.owner, settings))
