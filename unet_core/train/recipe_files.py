"""Recipes: complete training configurations by name, from the presets and the files in `recipes/`."""

from __future__ import annotations

from pathlib import Path

from unet_core.errors import ConfigError
from unet_core.train.config import TrainConfig
from unet_core.train.presets import TRAINING_PRESETS

RECIPES_FOLDER = Path(__file__).parent / "recipes"


def recipe_names() -> tuple[str, ...]:
    """Return the names of this project's recipes, the Train page's presets first."""
    return *TRAINING_PRESETS, *sorted(path.stem for path in RECIPES_FOLDER.glob("*.json"))


def load_recipe(name_or_file: str) -> TrainConfig:
    """Return a recipe of this project by name, or a TrainConfig from a JSON file.

    Raises:
        ConfigError: there is no such recipe or file, or it does not hold a valid TrainConfig.
    """
    if name_or_file in TRAINING_PRESETS:
        return TRAINING_PRESETS[name_or_file].config
    path = RECIPES_FOLDER / f"{name_or_file}.json"
    if name_or_file not in recipe_names():
        path = Path(name_or_file)
    if not path.is_file():
        known = ", ".join(recipe_names()) or "none"
        raise ConfigError(f"recipe: there is no recipe or file {name_or_file!r}; recipes: {known}")
    return TrainConfig.from_json(path.read_bytes())
