"""A network from a file of any form that is read here: Keras' JSON, a .keras archive, ONNX, or Python source."""

from __future__ import annotations

import re

from unet_core.foreign.keras_config import NetworkFileError, read_archive, read_config
from unet_core.foreign.network import ReadNetwork
from unet_core.foreign.onnx_graph import read_onnx
from unet_core.foreign.source import read_source

FILE_TYPES = (".json", ".keras", ".onnx", ".py")
_JSON = re.compile(rb'\s{0,99}\{\s{0,99}"')
_ZIP = b"PK\x03\x04"
MAX_FILE = 100 * 2**20  # bytes


def is_network(data: bytes, name: str) -> bool:
    """Return whether a file is a network of a form other than source."""
    return (
        data[:4] == _ZIP or _JSON.match(data) is not None or name.lower().endswith((".keras", ".onnx", ".json", ".h5"))
    )


def read_file(data: bytes, name: str, size: tuple[int, int] | None = None) -> ReadNetwork:
    """Read the network in a file; no code and no weights of it are run.

    Args:
        data: the file.
        name: its name, whose ending says what it is where the content does not.
        size: height and width of the input, instead of the network's own.

    Raises:
        NetworkFileError: it is none of the forms, damaged, or too large.
        SourceError: it is Python without a network.
    """
    ending = name.lower().rpartition(".")[2]
    if len(data) > MAX_FILE:
        raise NetworkFileError(
            f"{name} is larger than {MAX_FILE // 2**20} MiB. Its config, from model.to_json(), suffices."
        )
    if data[:4] == _ZIP:
        return read_archive(data, size)
    if data[:4] == b"\x89HDF" or ending in ("h5", "hdf5"):
        raise NetworkFileError(
            "HDF5 files are not read, since loading one may run code. Save the network's config with model.to_json(), "
            "or the model as .keras."
        )
    if ending == "json" or _JSON.match(data):
        return read_config(data, size)
    if ending == "py":
        return read_source(data.decode("utf-8", errors="replace"), size)
    return read_onnx(data, size)
