"""A network from its Keras config: `model.to_json()` or the config inside a .keras file; data only, nothing is made.

Both forms are read, that of Keras 3 and that of Keras 2. Shapes are traced again, and compared with nothing: what a
layer of somebody's own does is taken from the shapes that the file records.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unet_core.errors import UNetError
from unet_core.foreign.graph import Broken, Graph, Layer, Tensor, TooLarge
from unet_core.foreign.layer_rules import ALIASES, SIGNATURES, Outcome
from unet_core.foreign.mismatch import Dims
from unet_core.foreign.network import ReadNetwork

MAX_CONFIG = 16 * 2**20  # bytes of JSON
MAX_NESTING = 8  # models inside models
UNKNOWN_SIDE = 256  # pixels, where the input takes any size

_MODELS = ("Functional", "Model", "Sequential")


class NetworkFileError(UNetError):
    """A file without a network that can be read; the text says why."""


def read_archive(data: bytes, size: tuple[int, int] | None = None) -> ReadNetwork:
    """Read the config in a .keras file; its weights are not touched.

    Raises:
        NetworkFileError: it is no such file, or its config cannot be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open("config.json") as member:
            config = member.read(MAX_CONFIG + 1)
    except KeyError:
        raise NetworkFileError("This ZIP file has no config.json, so it is no .keras file.") from None
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise NetworkFileError(f"This file is damaged or no .keras file: {str(error)[:100]}") from None
    return read_config(config, size)


def read_config(data: bytes, size: tuple[int, int] | None = None) -> ReadNetwork:
    """Read what `model.to_json()` writes.

    Args:
        data: the JSON.
        size: height and width of the input, instead of the network's own.

    Raises:
        NetworkFileError: it is too large, or no config of a functional or Sequential model.
    """
    if len(data) > MAX_CONFIG:
        raise NetworkFileError(f"The config is larger than {MAX_CONFIG // 2**20} MiB.")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise NetworkFileError("This is no JSON, so no Keras config.") from None
    if not isinstance(document, dict) or not isinstance(document.get("config"), (dict, list)):
        raise NetworkFileError('This JSON is no Keras config: it has no "config". Write one with model.to_json().')
    if not _is_model(document):
        kind = str(document.get("class_name"))[:60]
        raise NetworkFileError(
            f"{kind} is a class of its own: its config does not say which layers it has. Paste its source instead, or "
            "export the network as ONNX."
        )
    reader = _Reader(size)
    try:
        outputs = reader.model(document, None, 0)
    except Broken as broken:
        return reader.graph.network(_name(document), (), broken.failure, keep_all=True)
    except (TooLarge, RecursionError) as error:
        raise NetworkFileError(f"This network is too large to be read: {error}.") from None
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        lacking = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise NetworkFileError(f"This config is not complete: {lacking[:80]}.") from None
    network = reader.graph.network(_name(document), outputs)
    if not network.layers:
        raise NetworkFileError("This config has no layers.")
    return network


def _is_model(document: Mapping[str, Any]) -> bool:
    """Return whether a config lists the layers of a model."""
    if document.get("class_name") not in _MODELS:
        return isinstance(document.get("config"), dict) and "input_layers" in document["config"]
    return True


def _layers_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    config = document["config"]
    layers = config["layers"] if isinstance(config, dict) else config  # a list in the first version of Keras 2
    return [layer for layer in layers if isinstance(layer, dict)]


def _name(document: Mapping[str, Any]) -> str:
    config = document.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return str(name)[:80] if isinstance(name, str) else "network"


@dataclass(frozen=True)
class _Use:
    """One use of a layer: the places of the tensors that it gets, and other positional arguments."""

    inputs: tuple[tuple[str, int, int], ...]
    others: tuple[Any, ...]


@dataclass
class _Reader:
    """One reading of one config."""

    size: tuple[int, int] | None
    graph: Graph = field(default_factory=Graph)
    made: dict[int, Layer] = field(default_factory=dict)  # by the identity of their config, so that they are shared
    recorded: dict[tuple[str, int], Dims] = field(default_factory=dict)  # shapes that the file states

    def model(self, document: Mapping[str, Any], given: list[Tensor] | None, depth: int) -> list[Tensor]:
        """Apply a model to tensors, or to its own inputs, and return its outputs."""
        if depth > MAX_NESTING:
            raise TooLarge(f"models are nested more than {MAX_NESTING} deep")
        if "input_layers" in document["config"]:
            return self._functional(document, given, depth)
        return self._sequential(document, given, depth)

    def _sequential(self, document: Mapping[str, Any], given: list[Tensor] | None, depth: int) -> list[Tensor]:
        current = given
        for entry in _layers_of(document):
            if entry.get("class_name") == "InputLayer":
                current = current or [self._input(entry)]
                continue
            if current is None:
                shape = entry["config"].get("batch_input_shape") or document["config"].get("build_input_shape")
                current = [self._input({"config": {"batch_shape": shape}})]
            current = self._use(entry, current, (), None, depth)
        return current or []

    def _functional(self, document: Mapping[str, Any], given: list[Tensor] | None, depth: int) -> list[Tensor]:
        entries = {_name_of(entry): entry for entry in _layers_of(document)}
        uses = {name: list(_uses(entry)) for name, entry in entries.items()}
        ends = list(_places(document["config"]["output_layers"]))
        uses, ends = _renumbered(entries, uses, ends)
        for name in uses:
            self.recorded |= _recorded(entries[name])
        values: dict[tuple[str, int], list[Tensor]] = {}
        starts = list(_places(document["config"]["input_layers"]))
        for number, place in enumerate(starts):
            tensor = given[number] if given and number < len(given) else self._input(entries[place[0]])
            values[place[:2]] = [tensor]
        waiting = [(name, index) for name in entries for index in range(len(uses[name])) if (name, index) not in values]
        while waiting:
            left = []
            for name, index in waiting:
                use = uses[name][index]
                if all(place[:2] in values for place in use.inputs):
                    inputs = [_pick(values[place[:2]], place[2]) for place in use.inputs]
                    recorded = self.recorded.get((name, index))
                    values[name, index] = self._use(entries[name], inputs, use.others, recorded, depth)
                else:
                    left.append((name, index))
            if len(left) == len(waiting):
                raise ValueError(f"{left[0][0]} gets what no layer gives")
            waiting = left
        return [_pick(values[place[:2]], place[2]) for place in ends]

    def _input(self, entry: Mapping[str, Any]) -> Tensor:
        config = entry["config"]
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        sides = tuple(shape[1:]) if isinstance(shape, list) else None
        if sides is not None and not all(side is None or (isinstance(side, int) and side > 0) for side in sides):
            raise ValueError("an input has no shape")
        if sides is not None and len(sides) == 3:
            height, width, channels = sides
            if self.size is not None:
                sides = (*self.size, channels)
            elif height is None or width is None:
                sides = (height or UNKNOWN_SIDE, width or UNKNOWN_SIDE, channels)
                self.graph.assume(0, f"the input takes any size, and is traced at {sides[0]}×{sides[1]} pixels")
        return self.graph.input(sides, (), str(config.get("name", "input_layer"))[:80])

    def _use(
        self, entry: Mapping[str, Any], inputs: list[Tensor], others: tuple[Any, ...], recorded: Dims | None, depth: int
    ) -> list[Tensor]:
        """Use a layer or a model inside the model."""
        if _is_model(entry):
            return self.model(entry, inputs, depth + 1)
        kind = ALIASES.get(str(entry.get("class_name")), str(entry.get("class_name")))[:60]
        layer = self.made.get(id(entry))
        if layer is None:
            layer = self.made[id(entry)] = Layer(kind, _name_of(entry), _arguments(kind, entry.get("config")))
        if kind == "GetItem":
            return [self.graph.add(layer, tuple(inputs), Outcome(_sliced(inputs[0].shape, others), 0), ())]
        if kind in SIGNATURES or kind == "Divide":
            return [self.graph.apply(layer, inputs, ())]
        if kind in _POINTWISE_OPERATIONS:
            return [self.graph.add(layer, tuple(inputs), Outcome(inputs[0].shape), ())]
        self.graph.note((), f"{layer.name}: {kind} is not a layer that is known here; its shape is the file's own")
        shape = recorded if self.size is None else None
        return [self.graph.add(layer, tuple(inputs), Outcome(shape, None), ())]


_POINTWISE_OPERATIONS = (
    "Relu", "Sigmoid", "Softmax", "Tanh", "LeakyRelu", "Elu", "Selu", "Gelu", "Silu", "Softplus", "Relu6", "Negative",
    "Cast", "Exp", "Square", "Sqrt", "Clip", "Power", "Abs", "TFOpLambda", "Lambda",
)  # fmt: skip


def _name_of(entry: Mapping[str, Any]) -> str:
    config = entry.get("config")
    name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(name)[:80]


def _arguments(kind: str, config: Any) -> dict[str, Any]:
    """Return the arguments of a layer that are plain values."""
    names = SIGNATURES.get(kind, ())
    if not isinstance(config, dict):
        return {}
    found = {name: config[name] for name in names if name in config and not isinstance(config[name], dict)}
    if kind == "Normalization":
        found.pop("mean", None)
    return found


def _uses(entry: Mapping[str, Any]) -> Iterator[_Use]:
    """Yield the uses of a layer, from the form of Keras 3 or 2."""
    for node in entry.get("inbound_nodes") or ():
        if isinstance(node, dict):
            parts = [*node.get("args", ()), *node.get("kwargs", {}).values()]
            yield _Use(tuple(_tensors(parts)), tuple(node.get("args", ())[1:]))
        else:
            yield _Use(tuple((str(part[0]), int(part[1]), int(part[2])) for part in node), ())


_Place = tuple[str, int, int]  # a layer's name, which of its uses, which of its outputs


def _renumbered(
    entries: Mapping[str, Mapping[str, Any]], uses: dict[str, list[_Use]], ends: list[_Place]
) -> tuple[dict[str, list[_Use]], list[_Place]]:
    """Number the uses of inner models from 0.

    Keras counts the making of a functional model as its first use: version 3 only in `output_layers`, version 2 always.
    """
    inside = [place for name in uses for use in uses[name] for place in use.inputs]
    shifted = _counted_from_one(entries, uses, inside)
    moved = {name: [_Use(tuple(_moved(use.inputs, shifted)), use.others) for use in uses[name]] for name in uses}
    return moved, list(_moved(ends, _counted_from_one(entries, uses, ends)))


def _counted_from_one(
    entries: Mapping[str, Mapping[str, Any]], uses: Mapping[str, list[_Use]], places: Iterable[_Place]
) -> set[str]:
    """Return the inner models whose uses these places number from 1."""
    found: dict[str, list[int]] = {}
    for name, index, _ in places:
        if name in entries and _is_model(entries[name]):
            found.setdefault(name, []).append(index)
    return {
        name
        for name, indices in found.items()
        if min(indices) >= 1 and (entries[name].get("class_name") != "Sequential" or max(indices) >= len(uses[name]))
    }


def _moved(places: Iterable[_Place], shifted: set[str]) -> Iterator[_Place]:
    for name, index, number in places:
        yield name, index - (name in shifted), number


def _tensors(value: Any, depth: int = 0) -> Iterator[tuple[str, int, int]]:
    """Yield the places that a value of Keras 3 refers to."""
    if depth > 6:
        return
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, node, number = value["config"]["keras_history"]
            yield str(name), int(node), int(number)
            return
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _tensors(part, depth + 1)


def _recorded(entry: Mapping[str, Any], depth: int = 0) -> dict[tuple[str, int], Dims]:
    """Return the shapes of the tensors that a layer gets, as the file states them."""
    found: dict[tuple[str, int], Dims] = {}
    waiting: list[Any] = [entry.get("inbound_nodes")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            shape, (name, node, _) = value["config"]["shape"], value["config"]["keras_history"]
            if isinstance(shape, list) and all(side is None or isinstance(side, int) for side in shape):
                found[str(name), int(node)] = tuple(shape[1:])
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _places(value: Any) -> Iterator[tuple[str, int, int]]:
    """Yield the places that `input_layers` and `output_layers` name: one, a list or a dictionary of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        yield value[0], value[1], int(value[2])
    elif isinstance(value, list):
        for part in value:
            yield from _places(part)


def _pick(values: list[Tensor], number: int) -> Tensor:
    return values[number] if 0 <= number < len(values) else values[0]


def _sliced(shape: Dims | None, others: tuple[Any, ...]) -> Dims | None:
    """Return the shape after a slice of the batch, height, width and channels; None if it is another one."""
    parts = others[0] if others and isinstance(others[0], list) else None
    if shape is None or parts is None or not 2 <= len(parts) <= len(shape) + 1:
        return None
    sides: list[int | None] = list(shape)
    for axis, part in enumerate(parts[1:]):
        side = sides[axis]
        if not isinstance(part, dict) or part.get("class_name") != "__slice__":
            return None
        if side is not None:
            bounds = [part["config"].get(name) for name in ("start", "stop", "step")]
            sides[axis] = len(range(*slice(*bounds).indices(side)))
    return tuple(sides)
