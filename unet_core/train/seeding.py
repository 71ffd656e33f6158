"""Initial weights that depend on the seed alone, whatever other threads do."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator

import keras


class _Draws(random.Random):
    """Random numbers of one thread; every other thread gets those that all threads share."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._owner = threading.get_ident()

    def randint(self, a: int, b: int) -> int:
        return super().randint(a, b) if threading.get_ident() == self._owner else random.randint(a, b)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed Keras for a network that is built in the `with` block.

    Keras gives each initializer and each dropout layer a seed from Python's `random`, whose numbers all threads share:
    a thread that draws meanwhile, as a Dask client that connects does, would change the weights. In the block this
    thread has these numbers for itself.
    """
    from keras.src.random import seed_generator  # Keras has no public way to give a whole network its seeds

    keras.utils.set_random_seed(seed)
    shared = seed_generator.python_random
    seed_generator.python_random = _Draws(seed)
    try:
        yield
    finally:
        seed_generator.python_random = shared
