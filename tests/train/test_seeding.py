from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import keras
import numpy as np
import pytest

from tests.helpers.tiny_run import TINY
from unet_core.models import build
from unet_core.train.seeding import seeded


@pytest.fixture
def draw_in_another_thread() -> Iterator[None]:
    """Draw from `random` again and again, as a thread of a library may."""
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(0.0005):
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    yield
    ended.set()
    thread.join()


def weights(seed: int) -> list[np.ndarray]:
    with seeded(seed):
        return build(TINY.replace(spatial_dropout=0.2)).get_weights()


@pytest.mark.usefixtures("draw_in_another_thread")
def test_other_threads_do_not_change_initial_weights() -> None:
    first = weights(3)
    for one, other in zip(first, weights(3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(first, weights(4), strict=True))


def test_they_are_those_that_keras_gives_for_the_seed_and_its_draws_go_on_as_before() -> None:
    keras.utils.set_random_seed(3)
    for one, other in zip(weights(3), build(TINY.replace(spatial_dropout=0.2)).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    one, other = (build(TINY).get_weights()[0] for _ in range(2))
    assert (one != other).any()


def test_draws_of_other_threads_are_their_own() -> None:
    with seeded(3):
        thread = threading.Thread(target=lambda: build(TINY))
        thread.start()
        thread.join()
        kept = build(TINY.replace(spatial_dropout=0.2)).get_weights()
    for one, other in zip(kept, weights(3), strict=True):
        np.testing.assert_array_equal(one, other)
