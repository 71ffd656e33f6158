"""The shape doctor's verdicts against the real Keras, and its remedies against the trace."""

from __future__ import annotations

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.architecture.test_trace import assert_same_failure
from tests.helpers.strategies import small_configs
from unet_core.architecture.config import UNetConfig
from unet_core.architecture.doctor import diagnose, verdict_at
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.errors import ConfigError
from unet_core.models import build


def assert_keras_agrees(config: UNetConfig, size: tuple[int, int]) -> bool:
    """Compare the verdict with what Keras does; returns whether the size works."""
    found = diagnose(config, size)
    keras.backend.clear_session()
    with keras.StatelessScope():
        if found.problem is None:
            assert build(config, size).output_shape[1:] == found.trace.output_shape
            return True
        with pytest.raises(ValueError, match=r".") as failure:
            build(config, size)
    assert_same_failure(found.problem, str(failure.value))
    return False


def test_verdicts_agree_with_keras() -> None:
    assert not assert_keras_agrees(preset_config("subclassed").replace(base_filters=2), (250, 256))
    assert assert_keras_agrees(preset_config("subclassed").replace(base_filters=2), (252, 256))


@pytest.mark.slow
@pytest.mark.parametrize(("encoders", "count"), [(False, 210), (True, 20)])
def test_two_hundred_verdicts_agree_with_keras(encoders: bool, count: int) -> None:
    verdicts = []

    @given(
        config=small_configs(encoders=encoders),
        size=st.tuples(st.integers(1, 140), st.integers(1, 140)),
        strict=st.booleans(),
    )
    @settings(
        max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    def compare(config: UNetConfig, size: tuple[int, int], strict: bool) -> None:
        verdicts.append(assert_keras_agrees(config.replace(skip_mode="strict") if strict else config, size))

    compare()
    assert len(verdicts) >= count
    assert verdicts.count(True) >= count // 8
    assert verdicts.count(False) >= count // 8


@given(config=small_configs() | small_configs(encoders=True), side=st.integers(1, 150), other=st.integers(1, 150))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_remedy_works_and_says_the_mask_it_gives(config: UNetConfig, side: int, other: int) -> None:
    found = diagnose(config, (side, other))
    for remedy in found.remedies:
        fixed = trace(remedy.config, remedy.size)
        assert fixed.valid
        height, width = fixed.output_shape[:2]
        assert f"{height}×{width}" in remedy.effect
        if found.problem is None and not config.loses_border:  # only what brings the whole mask back has a button
            assert (height, width) == remedy.size
        if found.verdict == "uneven":
            assert verdict_at(remedy.config, remedy.size) == "works"
    assert found.sentence.endswith(".")
    if found.problem is None and config.padding == "same":
        assert bool(found.remedies) == (found.trace.output_shape[:2] != (side, other))


def test_the_lost_pixel_is_followed_to_its_pooling() -> None:
    found = diagnose(preset_config("keras_basic"), (250, 250))
    assert (found.problem.layer, found.lost_at) == ("decoder2_concat", "encoder2_pool")
    assert found.problem.shapes == ((125, 125, 128), (124, 124, 256))
    assert found.story == "250 → 125 → 62 → 31"
    assert found.suggested == ((248, 248), (256, 256))
    labels = [remedy.label for remedy in found.remedies]
    assert labels[:2] == ["Use 248×248", "Use 256×256"]
    assert [remedy.config.skip_mode for remedy in found.remedies[2:]] == ["crop", "pad", "resize"]
    assert [trace(remedy.config, remedy.size).output_shape[0] for remedy in found.remedies] == [248, 256, 248, 250, 250]


def test_a_pretrained_encoders_halving_is_named() -> None:
    found = diagnose(preset_config("pets_fast"), (100, 128))
    assert found.lost_at == "block_13_depthwise"
    assert found.story == "height 100 → 50 → 25 → 13 → 7 → 4, width 128 → 64 → 32 → 16 → 8 → 4"


def test_a_size_that_works_is_called_healthy_and_why() -> None:
    even = diagnose(preset_config("keras_basic"), (256, 256))
    assert even.healthy
    assert even.lost_at is None
    paper = diagnose(preset_config("ronneberger2015"))
    assert paper.healthy
    assert "388×388" in paper.sentence
    assert " 92 " in paper.sentence


def test_cropping_works_but_is_said_to_shrink_the_mask() -> None:
    found = diagnose(preset_config("keras_basic").replace(skip_mode="crop"), (250, 250))
    assert found.problem is None
    assert not found.healthy
    assert "248×248, smaller" in found.sentence
    assert {remedy.config.skip_mode for remedy in found.remedies} == {"crop", "pad", "resize"}


def test_a_small_input_is_offered_less_depth() -> None:
    found = diagnose(preset_config("ronneberger2015"), (100, 100))
    assert [remedy.label for remedy in found.remedies] == ["Use 188×188", "Use same padding", "Use depth 4"]


def test_valid_padding_without_a_crop_can_be_fixed_by_modes_only() -> None:
    found = diagnose(preset_config("ronneberger2015").replace(skip_mode="strict"))
    assert found.suggested == ()
    assert found.lost_at is None
    assert {remedy.config.skip_mode for remedy in found.remedies} >= {"crop", "pad", "resize"}


def test_1x1_convolutions_remove_no_border_even_without_padding() -> None:
    found = diagnose(preset_config("keras_basic").replace(padding="valid", kernel_size=1))
    assert found.healthy
    assert (
        found.sentence
        == "256×256 works: every halving is even, so each skip connection matches the upsampled features."
    )


@pytest.mark.parametrize("side", [0, -5, 10**9])
def test_an_impossible_size_is_refused(side: int) -> None:
    for size in ((side, 10), (10, side)):
        with pytest.raises(ConfigError, match="each side must be"):
            diagnose(preset_config("pets"), size)


@given(config=small_configs() | small_configs(encoders=True), side=st.integers(1, 150), other=st.integers(1, 150))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_verdict_on_a_size_is_the_diagnosis_of_it(config: UNetConfig, side: int, other: int) -> None:
    found = diagnose(config, (side, other))
    assert verdict_at(config, (side, other)) == found.verdict
    assert (found.verdict == "breaks") == (found.problem is not None)
    assert found.healthy == (found.verdict == "works")
    if found.verdict in ("works", "uneven") and not config.loses_border:
        assert found.trace.output_shape[:2] == (side, other)


def test_without_padding_an_odd_size_at_a_pooling_is_said_to_lose_a_row() -> None:
    found = diagnose(preset_config("ronneberger2015"), (580, 572))
    assert (found.verdict, found.lost_at) == ("uneven", "encoder4_pool")
    assert "encoder4_pool gets 65×64 and drops the odd last row," in found.sentence
    assert found.suggested == ((572, 572), (588, 572))
    assert [remedy.label for remedy in found.remedies] == ["Use 572×572", "Use 588×572"]
