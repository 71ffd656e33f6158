"""Import TensorFlow without its start-up messages."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from unet_core.errors import ConfigError


def import_tensorflow_quietly() -> None:
    """Import TensorFlow without its start-up messages, some of which no setting disables.

    Raises:
        ConfigError: TensorFlow is not installed, or Keras is told to compute with something else.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise ConfigError(
            f"KERAS_BACKEND is {backend!r}, and this command works with TensorFlow only: unset it; see "
            "docs/several-hosts.md for what works with JAX"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    if "tensorflow" in sys.modules:
        return
    try:
        with _silent_native_stderr():
            import tensorflow

            tensorflow.config.list_physical_devices()
    except ImportError as error:
        raise ConfigError(f"This command needs TensorFlow; see requirements.txt ({error})") from None


@contextlib.contextmanager
def _silent_native_stderr() -> Iterator[None]:
    """Discard what native code writes to stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
