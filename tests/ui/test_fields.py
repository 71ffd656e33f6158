"""What widgets offer for the fields of configurations: never more than these take, and the same on every page."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from ui.architecture import controls
from ui.data import lab
from ui.shared.fields import NARROWER, explained, offered
from ui.train import fields
from unet_core.architecture.config import Preprocessing, UNetConfig
from unet_core.data.augmentation import AugmentationConfig
from unet_core.strict import Bounds, field_bounds, field_choices, owner_of
from unet_core.train.config import TrainConfig

CONTROLS = [
    control
    for group in (controls.SIZE, controls.SHAPE, *controls.MORE.values(), controls.WITH_ENCODER)
    for control in group
    if control.field != controls.FILTERS
]
NUMBERS = [(TrainConfig, field.path) for field in fields.FIELDS if field.kind in ("whole", "number")] + [
    (UNetConfig, control.field) for control in CONTROLS if control.options is None
]


def takes(config: type[BaseModel], path: str, value: Any) -> bool:
    """Ask pydantic whether a field may have a value."""
    owner, name = owner_of(config, path)
    info = owner.model_fields[name]
    field = TypeAdapter(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)
    try:
        field.validate_python(value)
    except ValidationError:
        return False
    return True


def test_bounds_are_read_from_the_declaration() -> None:
    assert field_bounds(AugmentationConfig, "noise") == Bounds(0, 1)
    assert field_bounds(TrainConfig, "augmentation.noise") == Bounds(0, 1)
    assert field_bounds(TrainConfig, "validation_fraction") == Bounds(0, 1, above=True, below=True)
    assert field_bounds(TrainConfig, "limit") == Bounds(2, None)
    assert field_bounds(TrainConfig, "model.base_filters") == Bounds(1, 8192)
    assert field_bounds(TrainConfig, "optimizer") == Bounds()
    assert field_choices(TrainConfig, "model.padding") == ("valid", "same")


@pytest.mark.parametrize(("config", "path"), NUMBERS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_number_that_a_widget_offers_is_taken(config: type[BaseModel], path: str) -> None:
    low, high = offered(config, path)
    assert low < high
    kind = (
        float if "float" in str(owner_of(config, path)[0].model_fields[owner_of(config, path)[1]].annotation) else int
    )
    assert takes(config, path, kind(low))
    assert takes(config, path, kind(high))


def test_a_seed_goes_to_the_last_number_that_is_taken() -> None:
    assert offered(TrainConfig, "seed") == (0, 2**31 - 1)
    assert not takes(TrainConfig, "seed", 2**31)


def test_the_size_of_the_pet_is_offered_within_what_is_taken() -> None:
    low, high = offered(AugmentationConfig, "zoom")
    assert AugmentationConfig(zoom=(low, high)).zoom == (low, high)


@pytest.mark.parametrize("dial", lab.DIALS, ids=lambda dial: dial.field)
def test_the_lab_offers_what_the_train_page_offers(dial: lab.Dial) -> None:
    field = fields.BY_PATH[f"augmentation.{dial.field}"]
    assert (dial.range, dial.step) == (field.range, field.step)


def test_the_architecture_and_the_train_page_offer_the_same() -> None:
    shared = {field.path for field in fields.FIELDS} & {f"model.{control.field}" for control in CONTROLS}
    assert len(shared) >= 7
    for control in CONTROLS:
        field = fields.BY_PATH.get(f"model.{control.field}")
        if field is not None and control.options is None:
            assert field.range == offered(UNetConfig, control.field)


def test_every_hyper_parameter_of_the_tutorials_is_on_both_pages() -> None:
    named = {
        "kernel_size", "pooling", "initializer", "normalization", "normalization_position", "spatial_dropout",
        "decoder_dropout", "base_filters", "depth", "activation", "padding",
    }  # fmt: skip
    own = {control.field for control in CONTROLS} | {"base_filters"}  # in the widget of `filters`
    assert named <= own
    assert {f"model.{name}" for name in named} <= fields.BY_PATH.keys()


def test_every_choice_of_a_field_is_offered_and_nothing_else() -> None:
    for control in CONTROLS:
        owner, name = owner_of(UNetConfig, control.field)
        if get_origin(owner.model_fields[name].annotation) is Literal:
            assert set(control.options) == set(field_choices(UNetConfig, control.field)), control.field


def test_what_is_narrower_stands_there_for_a_reason_and_is_said() -> None:
    for owner, ends in NARROWER.items():
        for name, (low, high) in ends.items():
            bounds = field_bounds(owner, name)
            assert low is None or bounds.low is None or low > bounds.low or name == "zoom", name
            assert high is None or bounds.high is None or high < bounds.high, name
    assert (
        explained(AugmentationConfig, "noise", "strongest grain") == "strongest grain. A configuration allows up to 1."
    )
    assert explained(AugmentationConfig, "hue", "around") == "around"
    assert explained(TrainConfig, "momentum", "SGD's") == "SGD's"


def test_a_field_without_an_end_has_to_be_given_one() -> None:
    class Open(BaseModel):
        size: int = 3

    with pytest.raises(ValueError, match="size: has an open end"):
        offered(Open, "size")


def test_another_scale_drops_what_was_measured_for_the_one_before() -> None:
    measured = Preprocessing(scale="standardize", mean=(0.5,) * 3, std=(0.2,) * 3)
    base = TrainConfig(model=UNetConfig(preprocessing=measured))
    path = "model.preprocessing.scale"
    assert fields.merged(base, {path: "standardize"}) == base
    assert fields.merged(base, {path: "unit"}).model.preprocessing == Preprocessing()
