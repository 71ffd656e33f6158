"""Calls of Keras, TensorFlow and NumPy: layers, inputs, models, and the functions that change shapes."""

from __future__ import annotations

from typing import Any

from unet_core.foreign.graph import Layer, Tensor
from unet_core.foreign.layer_rules import ALIASES, SIGNATURES, Outcome
from unet_core.foreign.mismatch import Dims
from unet_core.foreign.source import guesses, natives, pretrained
from unet_core.foreign.source.values import (
    Chain,
    LambdaLayer,
    Model,
    Native,
    Partial,
    Reference,
    Unknown,
    Used,
    tensors_in,
)
from unet_core.foreign.source.work import Work

_MERGES = {
    "concatenate": "Concatenate", "concat": "Concatenate", "add": "Add", "subtract": "Subtract",
    "multiply": "Multiply", "average": "Average", "maximum": "Maximum", "minimum": "Minimum",
}  # fmt: skip
_ACTIVATIONS = {
    "relu": "Relu", "sigmoid": "Sigmoid", "softmax": "Softmax", "tanh": "Tanh", "leaky_relu": "LeakyRelu",
    "elu": "Elu", "selu": "Selu", "gelu": "Gelu", "swish": "Silu", "silu": "Silu", "softplus": "Softplus",
    "relu6": "Relu6", "linear": "Identity", "identity": "Identity", "cast": "Cast", "dropout": "Dropout",
    "stop_gradient": "StopGradient", "hard_sigmoid": "HardSigmoid", "convert_to_tensor": "Identity", "mish": "Mish",
}  # fmt: skip
_FILLED = ("zeros", "ones", "normal", "uniform", "random", "rand", "randn", "empty", "full", "standard_normal")
_SILENT = (
    "initializers",
    "regularizers",
    "constraints",
    "optimizers",
    "losses",
    "metrics",
    "callbacks",
    "utils",
    "random",
)


def known_value(path: str) -> Any:
    """Return what a dotted path of a library stands for."""
    constants = {"math.pi": 3.141592653589793, "numpy.newaxis": None, "tensorflow.newaxis": None}
    return constants.get(path, Reference(path))


def call_reference(work: Work, function: Reference, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Return what a call of a library returns."""
    path, tail = function.path, function.tail
    parts = path.split(".")
    if tail == "partial" and arguments:
        return Partial(arguments[0], arguments[1:], keywords)
    if parts[0] in ("math", "numpy") and tail in natives.MATHS and not tensors_in(arguments):
        return natives.MATHS[tail].run(work, arguments, keywords)
    if tail in ("Input", "InputLayer"):
        return _input(work, arguments, keywords)
    if tail in ("Model", "Functional") and (arguments or keywords):
        inputs = keywords.get("inputs", keywords.get("input", arguments[0] if arguments else None))
        outputs = keywords.get("outputs", keywords.get("output", arguments[1] if len(arguments) > 1 else None))
        return new_model(work, inputs, outputs, keywords.get("name"))
    if tail == "Sequential":
        return _sequential(work, arguments, keywords)
    if "applications" in parts or path.startswith("classification_models"):
        return pretrained.build(work.graph, tail, *_pretrained_shape(work, tail, arguments, keywords), work.lines)
    if "pix2pix" in parts and tail == "upsample":
        return _pix2pix_upsample(work, arguments, keywords)
    if any(part in _SILENT for part in parts[:-1]) and tail not in _FILLED:
        return Unknown(f"{tail} is not read")
    if tail == "Lambda" and arguments:
        return LambdaLayer(arguments[0])
    if tail[:1].isupper() and ("layers" in parts or tail in SIGNATURES or tail in ALIASES):
        return work.graph.layer(tail, bound(tail, arguments, keywords))
    return _function(work, function, arguments, keywords)


def bound(kind: str, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    """Return a layer's arguments by their names."""
    names = SIGNATURES.get(ALIASES.get(kind, kind), ())
    found = dict(zip(names, arguments))
    if kind == "LeakyReLU" and "alpha" in keywords:  # its name in Keras 2
        keywords = {("negative_slope" if name == "alpha" else name): value for name, value in keywords.items()}
    return found | keywords


# --- inputs and models ------------------------------------------------------------------------------------------------


def new_input(work: Work, shape: Any, name: Any = None) -> Tensor:
    """Add an input; its size is the one that is asked for, and sides that are left open are assumed."""
    sides: Dims | None = None
    if isinstance(shape, (list, tuple)) and all(isinstance(side, int) or side is None for side in shape):
        sides = tuple(shape)
    if sides is not None and len(sides) == 3:
        if work.size is not None:
            sides = (*work.size, sides[2])
        elif None in sides[:2]:
            height, width = (guesses.SIDE if side is None else side for side in sides[:2])
            sides = (height, width, sides[2])
            work.graph.assume(work.lines[-1], f"the input takes any size, and is traced at {height}×{width} pixels")
    if sides is None:
        work.note("the input's shape is not known")
    return work.graph.input(sides, work.lines, name if isinstance(name, str) else None)


def _input(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    if "tensor" in keywords and isinstance(keywords["tensor"], Tensor):
        return keywords["tensor"]
    shape = keywords.get("shape", keywords.get("input_shape", arguments[0] if arguments else None))
    whole = keywords.get("batch_shape", keywords.get("batch_input_shape"))
    if shape is None and isinstance(whole, (list, tuple)):
        shape = tuple(whole[1:])
    return new_input(work, shape, keywords.get("name"))


def new_model(work: Work, inputs: Any, outputs: Any, name: Any = None) -> Model:
    """Make a functional model."""
    made = Model(tensors_in(inputs), outputs, name if isinstance(name, str) else "model")
    if not tensors_in(outputs):
        work.note("the model's outputs are not known")
    work.models.append(made)
    return made


def _sequential(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Chain:
    layers = keywords.get("layers", arguments[0] if arguments else [])
    name = keywords.get("name")
    made = Chain(
        list(layers) if isinstance(layers, (list, tuple)) else [], name if isinstance(name, str) else "sequential"
    )
    work.chains.append(made)
    return made


def replay(work: Work, model: Model, arguments: list[Any]) -> Any:
    """Send other tensors through a functional model."""
    given = tensors_in(arguments)
    if len(given) != len(model.inputs):
        return work.graph.unknown(model.name, given, f"{model.name} gets {len(given)} inputs", work.lines)
    known = {id(old.node): new for old, new in zip(model.inputs, given)}
    needed = _between(model)
    for node in [node for node in work.graph.nodes if id(node) in needed and id(node) not in known]:
        inputs = [known.get(id(tensor.node), tensor) for tensor in node.inputs]
        work.budget.step()
        if node.result.shape is None or node.layer.kind in ("Slice", "Resize", "Pad"):
            known[id(node)] = reshaped(work, node.layer.kind, inputs[0], node.result.shape) if inputs else Tensor(node)
        elif inputs:
            known[id(node)] = work.graph.apply(node.layer, inputs, work.lines)
    return _replaced(model.outputs, known)


def _between(model: Model) -> set[int]:
    found: set[int] = set()
    ends = {id(tensor.node) for tensor in model.inputs}
    waiting = [tensor.node for tensor in tensors_in(model.outputs)]
    while waiting:
        node = waiting.pop()
        if id(node) not in found and id(node) not in ends:
            found.add(id(node))
            waiting.extend(tensor.node for tensor in node.inputs)
    return found


def _replaced(value: Any, known: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return known.get(id(value.node), value)
    if isinstance(value, (list, tuple)):
        return [_replaced(part, known) for part in value]
    return {name: _replaced(part, known) for name, part in value.items()} if isinstance(value, dict) else value


def model_attribute(work: Work, model: Model, name: str) -> Any:
    """Return an attribute of a functional model."""
    outputs = tensors_in(model.outputs)
    match name:
        case "input" | "inputs":
            return model.inputs[0] if len(model.inputs) == 1 and name == "input" else list(model.inputs)
        case "output" | "outputs":
            return outputs[0] if len(outputs) == 1 and name == "output" else outputs
        case "name":
            return model.name
        case "layers":
            needed = _between(model)
            return [Used(tensor.node) for tensor in model.inputs] + [
                Used(node) for node in work.graph.nodes if id(node) in needed and node.layer.kind != "InputLayer"
            ]
        case "get_layer":
            return Native(name, lambda work, given, named: _get_layer(work, model, given, named))
        case "output_shape" | "input_shape":
            ends = outputs if name == "output_shape" else model.inputs
            shape = ends[0].shape if ends else None
            return Unknown("the shape is not known") if shape is None else (None, *shape)
    return Native(name, lambda work, given, named: None)


def _get_layer(work: Work, model: Model, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    name = keywords.get("name", arguments[0] if arguments else None)
    place = keywords.get("index", name if isinstance(name, int) else None)
    layers = model_attribute(work, model, "layers")
    if isinstance(place, int) and -len(layers) <= place < len(layers):
        return layers[place]
    for node in work.graph.nodes:
        if node.layer.name == name:
            return Used(node)
    return Unknown(f"{model.name} has no layer {name!r} that is read")


# --- layers -----------------------------------------------------------------------------------------------------------


def apply_layer(work: Work, layer: Layer, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Use a layer on the tensors that it gets."""
    inputs = tensors_in([*arguments[:1], *(keywords[name] for name in ("inputs", "x") if name in keywords)])
    if not inputs:
        why = next((part.why for part in arguments if isinstance(part, Unknown) and part.why), "")
        work.note(f"{layer.name}: its input is not known" + (f" ({why})" if why else ""))
        return work.graph.unknown(layer.kind, [], f"{layer.name} has no input that is read", work.lines)
    return work.graph.apply(layer, inputs, work.lines)


def reshaped(work: Work, kind: str, tensor: Tensor, shape: Dims | None) -> Tensor:
    """Add an operation with a known result."""
    return work.graph.add(Layer(kind, work.graph.auto_name(kind), {}), (tensor,), Outcome(shape), work.lines)


# --- functions --------------------------------------------------------------------------------------------------------


def _function(work: Work, function: Reference, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    tail = function.tail
    inputs = tensors_in([*arguments, *keywords.values()])
    if tail in _FILLED and not inputs:
        return _filled(work, arguments, keywords)
    if not inputs:
        return Unknown(f"{function.path} is not read")
    if tail in _MERGES:
        axis = keywords.get("axis", next((part for part in arguments[1:] if isinstance(part, int)), -1))
        kind = _MERGES[tail]
        return work.graph.apply(
            work.graph.layer(kind, {"axis": axis} if kind == "Concatenate" else {}), inputs, work.lines
        )
    if tail in _ACTIVATIONS:
        layer = Layer("Activation", work.graph.auto_name(_ACTIVATIONS[tail]), {"activation": tail})
        return work.graph.apply(layer, inputs[:1], work.lines)
    if tail in ("int_shape", "shape", "get_shape"):
        shape = inputs[0].shape
        return Unknown("the shape is not known") if shape is None else (None, *shape)
    if tail in ("resize", "resize_bilinear", "resize_images"):
        return _resized(work, inputs[0], arguments, keywords)
    if tail == "pad":
        return _padded(work, inputs[0], keywords.get("paddings", arguments[1] if len(arguments) > 1 else None))
    words = function.path
    return work.graph.unknown(tail, inputs, f"{words}(…) is not a function that is known here", work.lines)


def _filled(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Return an input for an array of zeros, ones or noise with a batch; other arrays are not known."""
    shape = keywords.get("shape", keywords.get("size", arguments[0] if arguments else None))
    if isinstance(shape, int) and all(isinstance(side, int) for side in arguments):
        shape = tuple(arguments)
    if isinstance(shape, (list, tuple)) and len(shape) == 4:
        return new_input(work, tuple(shape[1:]))
    return Unknown("this array is not read")


def _resized(work: Work, tensor: Tensor, arguments: list[Any], keywords: dict[str, Any]) -> Tensor:
    size = keywords.get("size", arguments[1] if len(arguments) > 1 else None)
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        return work.graph.unknown("Resize", [tensor], "the size to resize to is not known", work.lines)
    return reshaped(work, "Resize", tensor, (size[0], size[1], tensor.shape[-1] if tensor.shape else None))


def _padded(work: Work, tensor: Tensor, margins: Any) -> Tensor:
    shape = tensor.shape
    if shape is None or not isinstance(margins, (list, tuple)) or len(margins) != len(shape) + 1:
        return work.graph.unknown("Pad", [tensor], "the margins are not known", work.lines)
    sides: list[int | None] = []
    for side, both in zip(shape, margins[1:]):
        if not isinstance(both, (list, tuple)) or not all(isinstance(part, int) and part >= 0 for part in both):
            return work.graph.unknown("Pad", [tensor], "the margins are not known", work.lines)
        sides.append(None if side is None else side + sum(both))
    return reshaped(work, "Pad", tensor, tuple(sides))


def _pix2pix_upsample(work: Work, arguments: list[Any], keywords: dict[str, Any]) -> Chain:
    """Return the upsampling block of TensorFlow's pix2pix example: transposed convolution, normalization, ReLU."""
    names = ("filters", "size", "norm_type", "apply_dropout")
    given = {"norm_type": "batchnorm", "apply_dropout": False} | dict(zip(names, arguments)) | keywords
    made = [
        work.graph.layer(
            "Conv2DTranspose",
            {"filters": given.get("filters"), "kernel_size": given.get("size"), "strides": 2, "padding": "same",
             "use_bias": False},
        )
    ]  # fmt: skip
    if given["norm_type"] == "batchnorm":
        made.append(work.graph.layer("BatchNormalization", {}))
    if given["apply_dropout"]:
        made.append(work.graph.layer("Dropout", {"rate": 0.5}))
    return Chain([*made, work.graph.layer("ReLU", {})], "upsample")


def _pretrained_shape(work: Work, name: str, arguments: list[Any], keywords: dict[str, Any]) -> tuple[Tensor, Any]:
    """Return the input of a pretrained encoder, and its width."""
    tensor = keywords.get("input_tensor")
    if not isinstance(tensor, Tensor):
        shape = keywords.get("input_shape", arguments[0] if arguments else None)
        known = shape if isinstance(shape, (list, tuple)) else (224, 224, 3)
        tensor = new_input(work, tuple(known))
    return tensor, keywords.get("alpha", 1.0)
