"""What is said about the presets' networks: every preset has an answer, and Keras gives the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.errors import ConfigError
from unet_core.explain.beliefs import Belief, beliefs
from unet_core.explain.real_error import built
from unet_core.models import build


def proved(belief: Belief) -> dict[str, str]:
    return {proof.what: proof.result for proof in belief.proof}


def answer(belief: Belief) -> dict:
    """Ask Keras the belief's question, in this process."""
    assert belief.question is not None
    model, size = belief.question
    if isinstance(model, str):
        return built({"variant": model, "size": list(size)})
    return built({"config": model.model_dump(mode="json"), "size": list(size)})


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_a_belief_with_its_fact_and_proof(preset: str) -> None:
    found = beliefs(preset)
    assert found
    for belief in found:
        assert belief.said.endswith(".")
        assert belief.fact.endswith(".")
        assert belief.proof
        assert all(proof.what and proof.result for proof in belief.proof)


def test_a_preset_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no preset"):
        beliefs("nothing")


def test_the_facts_have_the_networks_own_numbers() -> None:
    smaller, sizes = beliefs("ronneberger2015")
    assert "388×388 of 572×572" in smaller.fact
    assert "92 pixels" in smaller.fact
    assert proved(smaller)["Part of the picture that it answers for"] == "46\u202f%"
    assert proved(sizes)["Sizes 572 to 587 at which every pooling gets even sides"] == "572"
    assert proved(beliefs("machinecurve2022")[0])["Output of the trace"] == "60×60×3"
    assert proved(beliefs("keras_basic")[0])["250×250"] == "breaks at decoder2_concat"
    assert proved(beliefs("keras_basic+batchnorm")[0])["After encoder1_conv1 come"] == "activation, norm"
    assert "64×64 pixels" in beliefs("mobilenetv2_tutorial")[0].fact


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["machinecurve2022", "keras_basic", "subclassed"])
def test_keras_answers_as_the_fact_says(preset: str) -> None:
    for belief in (belief for belief in beliefs(preset) if belief.question):
        keras.backend.clear_session()
        found = answer(belief)
        fails = any(result.startswith("breaks") for what, result in proved(belief).items() if "×".join(
            map(str, belief.question.size)
        ) == what)  # fmt: skip
        assert found["outcome"] == ("error" if fails else "worked"), found["message"]


def test_the_two_leaky_relus_of_keras_have_the_slopes_that_the_fact_says() -> None:
    values = np.array([-1.0], np.float32)
    assert float(keras.layers.Activation("leaky_relu")(values)[0]) == pytest.approx(-0.2)
    assert float(keras.layers.LeakyReLU()(values)[0]) == pytest.approx(-0.3)
    assert "0.2" in beliefs("keras_basic+leaky_relu")[0].fact
    assert "0.3" in beliefs("keras_basic+leaky_relu")[0].fact


@pytest.mark.slow
def test_the_order_of_normalization_is_that_of_the_built_model() -> None:
    model = build(preset_config("keras_basic+batchnorm").replace(base_filters=2))
    names = [layer.name for layer in model.layers]
    assert names.index("encoder1_conv1_activation") < names.index("encoder1_conv1_norm")
