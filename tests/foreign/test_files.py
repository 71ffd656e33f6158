"""Networks from files: Keras configs of both versions, .keras archives and ONNX, against the models they come from."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.foreign import keras_config, onnx_graph
from unet_core.foreign.files import is_network, read_file
from unet_core.foreign.keras_config import NetworkFileError, read_config
from unet_core.foreign.u_shape import find_u
from unet_core.settings import ROOT
from unet_core.zoo.manifest import load_manifest


def tensor(name: str, shape: list[int | None]) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": shape, "keras_history": [name, 0, 0]}}


def layer(kind: str, name: str, config: dict[str, Any], *inputs: Any) -> dict[str, Any]:
    nodes = [{"args": [list(inputs) if len(inputs) > 1 else inputs[0]], "kwargs": {}}] if inputs else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def small_u(side: int | None = 32) -> dict[str, Any]:
    """A U of one halving as Keras 3 writes it."""
    shape = [None, side, side, 3]
    convolution = {"filters": 4, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}
    layers = [
        layer("InputLayer", "image", {"batch_shape": shape}),
        layer("Conv2D", "a", convolution, tensor("image", shape)),
        layer("MaxPooling2D", "pool", {"pool_size": [2, 2]}, tensor("a", shape)),
        layer("UpSampling2D", "up", {"size": [2, 2]}, tensor("pool", shape)),
        layer("Concatenate", "merge", {"axis": -1}, tensor("a", shape), tensor("up", shape)),
        layer("Conv2D", "head", {"filters": 2, "kernel_size": [1, 1]}, tensor("merge", shape)),
    ]
    config = {"name": "small", "layers": layers, "input_layers": [["image", 0, 0]], "output_layers": [["head", 0, 0]]}
    return {"class_name": "Functional", "config": config}


def with_second_output(document: dict[str, Any]) -> dict[str, Any]:
    """The network with what only a second, smaller output needs: a merge of two maps of its encoder."""
    shape = [None, 32, 32, 3]
    config = document["config"]
    halved = layer("Conv2D", "halved", {"filters": 4, "kernel_size": [1, 1], "strides": [2, 2]}, tensor("a", shape))
    config["layers"] += [halved, layer("Concatenate", "kinds", {}, tensor("halved", shape), tensor("pool", shape))]
    config["output_layers"] = [["kinds", 0, 0], ["head", 0, 0]]
    return document


def as_keras_2(document: dict[str, Any]) -> dict[str, Any]:
    """The same network as Keras 2 wrote it."""

    def places(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [[*value["config"]["keras_history"], {}]]
        return [place for part in value for place in places(part)]

    old = json.loads(json.dumps(document))
    old["class_name"] = "Model"
    for entry in old["config"]["layers"]:
        entry["inbound_nodes"] = [places(node["args"]) for node in entry["inbound_nodes"]]
        if "batch_shape" in entry["config"]:
            entry["config"]["batch_input_shape"] = entry["config"].pop("batch_shape")
    return old


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_of_equal_outputs_that_of_most_layers_has_the_u() -> None:
    document = small_u()
    shape = [None, 32, 32, 3]
    document["config"]["layers"].append(
        layer("Conv2D", "shallow", {"filters": 2, "kernel_size": [1, 1]}, tensor("a", shape))
    )
    document["config"]["output_layers"] = [["shallow", 0, 0], ["head", 0, 0]]  # as in a network with deep supervision
    assert find_u(read_config(encoded(document))) == find_u(read_config(encoded(small_u())))


def test_what_only_a_second_output_needs_is_not_in_the_u() -> None:
    alone, both = read_config(encoded(small_u())), read_config(encoded(with_second_output(small_u())))
    assert both.output_shapes == ((16, 16, 8), (32, 32, 2))
    assert find_u(both) == find_u(alone)


@pytest.mark.parametrize("form", [small_u(), as_keras_2(small_u())], ids=["Keras 3", "Keras 2"])
def test_a_config_is_read_and_its_u_is_found(form: dict[str, Any]) -> None:
    network = read_config(encoded(form))
    assert (network.title, network.output_shapes, network.total_params) == ("small", ((32, 32, 2),), 112 + 18)
    shape = find_u(network)
    assert shape.is_u
    assert shape.depth == 2
    assert [block.part for block in shape.blocks] == ["input", "encoder", "bottleneck", "decoder"]
    assert [skip.merge for skip in shape.skips] == ["merge"]


def test_another_size_breaks_at_the_layer_that_it_breaks_at() -> None:
    failure = read_config(encoded(small_u()), (33, 32)).failure
    assert failure is not None
    assert (failure.layer, failure.shapes) == ("merge", ((33, 32, 4), (32, 32, 4)))
    open_size = read_config(encoded(small_u(None)))
    assert open_size.output_shapes == ((256, 256, 2),)
    assert "traced at 256×256" in str(open_size.assumed[0])


def test_a_layer_of_somebodys_own_keeps_the_shape_that_the_file_states() -> None:
    document = small_u()
    document["config"]["layers"][2]["class_name"] = "MyPool"
    document["config"]["layers"][3]["inbound_nodes"][0]["args"] = [tensor("pool", [None, 16, 16, 4])]
    network = read_config(encoded(document))
    assert network.by_name["pool"].output_shape == (16, 16, 4)
    assert "MyPool is not a layer that is known here" in str(network.unread[0])
    assert network.output_shapes == ((32, 32, 2),)
    assert read_config(encoded(document), (64, 64)).by_name["pool"].output_shape is None


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("__", "."), data)
    return buffer.getvalue()


def cyclic() -> dict[str, Any]:
    document = small_u()
    document["config"]["layers"][1]["inbound_nodes"][0]["args"] = [tensor("up", [None, 1, 1, 1])]
    return document


def nested(depth: int) -> dict[str, Any]:
    document = small_u()
    for _ in range(depth):
        outer = small_u()
        outer["config"]["layers"][1] |= {"class_name": "Functional", "config": document["config"]}
        document = outer
    return document


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "a.onnx", "has no graph"),
        (b"\x08\x07\x12" + b"x" * 1000, "a.onnx", "no ONNX file, or it is damaged"),
        (b"{", "a.json", "no JSON"),
        (b'{"a": 1}', "a.json", "to_json"),
        (b'{"x":' * 100_000, "a.json", "no JSON"),
        (encoded({"class_name": "UNet", "config": {"name": "u"}}), "a.json", "Paste its source"),
        (encoded(cyclic()), "a.json", "not complete"),
        (encoded(nested(12)), "a.json", "too large to be read"),
        (encoded({"class_name": "Sequential", "config": {"layers": 3}}), "a.json", "not complete"),
        (encoded({"class_name": "Functional", "config": {"input_layers": 1, "output_layers": 2, "layers": []}}),
         "a.json", "has no layers"),
        (b" " * (keras_config.MAX_CONFIG + 1), "a.json", "larger than 16 MiB"),
        (archive(weights__h5=b"x"), "a.keras", "no config.json"),
        (archive(config__json=b" " * (keras_config.MAX_CONFIG + 5)), "a.keras", "larger than"),
        (archive(config__json=b"{}")[:60], "a.keras", "damaged"),
        (b"PK\x03\x04" + bytes(100), "a.keras", "damaged"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "a.h5", "may run code"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # a ZIP's bytes hold the time
)  # fmt: skip
def test_a_file_without_a_readable_network_says_why(data: bytes, name: str, words: str) -> None:
    with pytest.raises(NetworkFileError, match=words):
        read_file(data, name)


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_config_never_ends_in_another_error(seed: int) -> None:
    chance = np.random.default_rng(seed)
    document = small_u()
    for _ in range(int(chance.integers(1, 4))):
        place: Any = document
        while True:
            key = (
                chance.choice(np.array(list(place), dtype=object))
                if isinstance(place, dict)
                else int(chance.integers(len(place)))
            )
            inner = place[key]
            if not isinstance(inner, (dict, list)) or not inner or chance.random() < 0.15:
                place[key] = [None, -1, "x", [], {}, 10**30, [[]]][int(chance.integers(7))]
                break
            place = inner
    with contextlib.suppress(NetworkFileError):
        read_config(encoded(document))


# --- ONNX -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["pets", "pets_fast"])
def test_a_shipped_onnx_file_is_the_u_that_it_was_exported_from(preset: str) -> None:
    data = (ROOT / "weights" / f"{preset}.onnx").read_bytes()
    network, config = read_file(data, f"{preset}.onnx"), preset_config(preset)
    traced = trace(config)
    kinds = load_manifest().entry(preset).kinds
    second = () if kinds is None else ((14, 14, len(kinds.names)),)
    assert network.output_shapes == (traced.output_shape, *second)
    shape = find_u(network)
    assert shape.is_u
    assert len(shape.skips) == len(traced.skips)
    in_the_u = [layer for block in shape.blocks for layer in block.layers]
    merges = [layer for layer in in_the_u if layer.kind == "Concatenate"]
    assert [one.output_shape for one in merges] == [
        layer.output_shape for layer in traced.layers if layer.op == "concat"
    ]
    read = Counter(layer.kind for layer in network.layers)
    depthwise = sum(layer.op in ("depthwise_conv", "separable_conv") for layer in traced.layers)
    assert read["DepthwiseConv2D"] == depthwise


def onnx_u(side: int | str, offset: int = 0) -> bytes:
    """A U of one halving, channels first; the merge gets `offset` rows too many."""
    from onnx import TensorProto, helper, numpy_helper

    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    weights = numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.float32), "w")
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    pads = numpy_helper.from_array(np.array([0, 0, offset, 0, 0, 0, 0, 0]), "pads")
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], name="first", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("MaxPool", ["a"], ["b"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["b", "", "scales"], ["c"], name="up", mode="nearest"),
        helper.make_node("Pad", ["c", "pads"], ["d"], name="pad"),
        helper.make_node("Concat", ["a", "d"], ["out"], name="merge", axis=1),
    ]
    graph = helper.make_graph(nodes, "u", [image], [out], [weights, scales, pads])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def test_an_onnx_graph_with_channels_first_is_traced_at_any_size() -> None:
    found = onnx_graph._network(onnx_graph.graph_of(onnx_u(32), None))
    assert found.output_shapes == ((32, 32, 8),)
    assert [layer.params for layer in found.layers if layer.kind == "Conv2D"] == [108]
    larger = onnx_graph._network(onnx_graph.graph_of(onnx_u("side"), [64, 48]))
    assert larger.output_shapes == ((64, 48, 8),)
    assumed = onnx_graph._network(onnx_graph.graph_of(onnx_u("side"), None))
    assert assumed.output_shapes == ((256, 256, 8),)
    assert "256 pixels" in str(assumed.assumed[0])


def test_an_onnx_graph_that_does_not_fit_names_its_node() -> None:
    found = onnx_graph._network(onnx_graph.graph_of(onnx_u(32, offset=1), None))
    assert found.failure is not None
    assert found.failure.layer == "merge"


def test_a_process_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "SECONDS", 0.01)
    with pytest.raises(NetworkFileError, match="was stopped"):
        read_file(onnx_u(32), "u.onnx")


def test_files_are_told_from_texts() -> None:
    assert is_network(b' {\n "class_name"', "a.txt")
    assert is_network(b"anything", "model.onnx")
    assert not is_network(b"{{function_node __wrapped__ConcatV2}} ConcatOp", "error.txt")
    assert not is_network(b"from keras import layers", "unet.py")


# --- against Keras ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_config_of_every_preset_is_the_model_layer_by_layer(preset: str, tmp_path: Path) -> None:
    from unet_core.models import build

    config = preset_config(preset).replace(encoder_weights="none")
    model = build(config)
    network = read_config(model.to_json().encode())
    assert [(one.name, one.output_shape, one.params) for one in network.layers if one.kind != "InputLayer"] == [
        (one.name, tuple(one.output.shape[1:]), one.count_params()) for one in model.layers[1:]
    ]
    if model.count_params() < 5_000_000:
        model.save(tmp_path / "model.keras")
        data = (tmp_path / "model.keras").read_bytes()
        assert read_file(data, "model.keras").layers == network.layers


@pytest.mark.slow
def test_nested_models_shared_layers_operators_and_slices_are_read_as_keras_builds_them() -> None:
    import keras
    from keras import layers

    image = keras.Input((32, 32, 3))
    shared = layers.Conv2D(4, 3, padding="same")
    x = shared(image)
    inner = keras.Sequential([layers.Conv2D(8, 1), layers.ReLU(), layers.Conv2D(4, 1)])
    y = inner(inner(x)) + x
    y = keras.ops.relu(y[:, 2:-2, 2:-2, :] * 0.5)
    encoder_in = keras.Input((28, 28, 4))
    encoder = keras.Model(encoder_in, [layers.MaxPooling2D()(encoder_in), layers.Conv2D(2, 1)(encoder_in)])
    small, large = encoder(y)
    merged = layers.Concatenate()([layers.UpSampling2D()(small), large])
    model = keras.Model(image, [layers.Dense(2)(merged), small])
    network = read_config(model.to_json().encode())
    assert network.unread == ()
    assert network.total_params == model.count_params()
    assert list(network.output_shapes) == [tuple(output.shape[1:]) for output in model.outputs]
