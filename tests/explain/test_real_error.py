"""What Keras and TensorFlow themselves say, from a process that is bounded; and the tutorials' three variants."""

from __future__ import annotations

import subprocess
import sys
import time

import keras
import pytest

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.explain import real_error as module
from unet_core.explain.real_error import built, not_runnable, real_error
from unet_core.explain.tutorial_variants import PARAMETERS, PRESET, VARIANTS, outcome


def answered(model: UNetConfig | str, size: tuple[int, int]) -> dict:
    """Answer in a process of its own that may never make the declared weights, as the real one."""
    request, refusal = module._request(model, size)
    assert refusal is None
    return built(request)


@pytest.mark.slow
def test_the_real_process_says_what_keras_says() -> None:
    found = real_error(preset_config("keras_basic"), (250, 250), timeout=300)
    assert (found.outcome, found.error_type) == ("error", "ValueError")
    assert "A `Concatenate` layer requires inputs with matching shapes" in found.message
    for shape in trace(preset_config("keras_basic"), (250, 250)).problem.shapes:
        assert str(list(shape))[1:-1] in found.message
    works = real_error(preset_config("ronneberger2015"), (572, 572), timeout=300)
    assert (works.outcome, works.output_shape, works.parameters) == ("worked", (388, 388, 2), 31_030_658)


def test_a_run_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    popen = subprocess.Popen

    def endless(_command, **options):
        started.append(popen([sys.executable, "-c", "import time; time.sleep(600)"], **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", endless)
    before = time.monotonic()
    found = real_error(preset_config("keras_basic"), (250, 250), timeout=0.3)
    assert found.outcome == "timeout"
    assert "was stopped" in found.message
    assert time.monotonic() - before < 60
    assert started[0].poll() is not None


def test_a_process_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen
    broken = [sys.executable, "-c", "import sys; sys.stdin.buffer.read(8); sys.exit(7)"]
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: popen(broken, **options))
    found = real_error(preset_config("keras_basic"), (250, 250), timeout=60)
    assert found.outcome == "failed"
    assert "code 7" in found.message


def test_a_second_run_waits_and_then_says_so() -> None:
    with module._one_at_a_time:
        found = real_error(preset_config("keras_basic"), (250, 250), timeout=0.05)
    assert found.outcome == "busy"


def test_what_is_too_large_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    large = UNetConfig(depth=5, base_filters=512)
    assert "million parameters" in real_error(large, (256, 256)).message
    assert real_error(preset_config("keras_basic"), (4104, 256)).outcome == "refused"
    assert real_error("no_padding", (4104, 256)).outcome == "refused"
    assert not_runnable(preset_config("ronneberger2015")) is None
    with pytest.raises(ValueError, match="variant: must be one of"):
        real_error("none_such", (256, 256))
    with pytest.raises(ValueError, match="each side must be"):
        real_error("no_padding", (0, 256))


SHOWN = [pytest.param(name, marks=[] if name == "named_tensors" else pytest.mark.slow) for name in VARIANTS]


@pytest.mark.parametrize("name", SHOWN)
def test_a_variant_is_the_presets_network_and_works_at_256(name: str) -> None:
    namespace: dict = {}
    exec(VARIANTS[name].source, namespace)
    model = namespace["UNet"]()
    output = model(keras.Input((256, 256, 3)))
    expected = trace(preset_config(PRESET))
    assert tuple(output.shape[1:]) == expected.output_shape
    assert model.count_params() == expected.total_params == PARAMETERS


@pytest.mark.parametrize("name", SHOWN)
def test_a_variant_fails_exactly_where_four_does_not_divide_the_size(name: str) -> None:
    for size in ((12, 8), (10, 12), (12, 13)):
        found = answered(name, size)
        works = size[0] % 4 == size[1] % 4 == 0
        assert found["outcome"] == ("worked" if works else "error"), found
        assert outcome(size).healthy == works
        if not works:
            for shape in outcome(size).problem.shapes:
                height, width, channels = shape
                assert f"{height}, {width}, {channels}" in found["message"].replace(",", ", ").replace("  ", " ")


def test_only_the_two_plain_variants_differ_and_only_in_the_padding() -> None:
    plain, padded = VARIANTS["no_padding"].source, VARIANTS["same_padding"].source
    assert plain != padded
    assert padded.replace('strides=2, padding="same"', "strides=2") == plain


def test_keras_is_not_started_without_the_memory_it_needs(monkeypatch):
    monkeypatch.setattr("unet_core.jobs.served.free_memory_mb", lambda: 90.0)
    found = real_error(preset_config("keras_basic"), (64, 64))
    assert found.outcome == "failed"
    assert "90 MB are free" in found.message
