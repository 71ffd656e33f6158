"""A Keras U-Net in PyTorch, layer by layer, so that it can be trained where there is no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Network(nn.Module):
    """A Keras U-Net, layer by layer, from the list of layers and the values that `gpu_files.py` has written.

    A frozen BatchNormalization keeps its statistics and is folded into the convolution before it; its scale and offset
    are trained. Input (B, 3, H, W) from -1 to 1; output (B, 3, H, W), logits.
    """

    def __init__(self, graph: dict, values: dict[str, np.ndarray]) -> None:
        super().__init__()
        self.output, self.size = graph["output"], tuple(graph["size"])
        self.values = nn.ParameterDict()
        self.steps = []
        used = [name for node in graph["nodes"] for name in node.get("inputs", ())]
        kinds = {node["name"]: node["kind"] for node in graph["nodes"]}
        folded = {}  # convolution -> the frozen normalization after it
        for node in graph["nodes"]:
            if node["kind"] == "BatchNormalization" and node["frozen"]:
                before = node["inputs"][0]
                if kinds[before] not in ("Conv2D", "DepthwiseConv2D") or used.count(before) != 1:
                    raise ValueError(f"{node['name']} does not follow a convolution alone")
                folded[before] = node
        for node in graph["nodes"]:
            name, kind = node["name"], node["kind"]
            if kind == "InputLayer":
                self.input = name
                continue
            for key in [key for key in values if key.startswith(name + "/")]:
                value = torch.tensor(np.asarray(values[key], np.float32))
                if value.ndim == 4:  # (h, w, in, out) or, depthwise, (h, w, channels, 1)
                    value = value.permute((2, 3, 0, 1) if is_depthwise(kind, key) else (3, 2, 0, 1)).contiguous()
                if "moving" in key:
                    self.register_buffer(_flat(key), value)
                else:
                    self.values[_flat(key)] = nn.Parameter(value)
            if not (kind == "BatchNormalization" and node["frozen"]):
                self.steps.append((node, folded.get(name)))
            else:
                self.steps.append(({"name": name, "kind": "Same", "inputs": node["inputs"]}, None))

    def forward(self, image: Tensor) -> Tensor:
        tensors = {self.input: image}
        for node, norm in self.steps:
            inputs = [tensors[name] for name in node["inputs"]]
            tensors[node["name"]] = getattr(self, "_" + node["kind"].lower())(node, norm, *inputs)
        return tensors[self.output]

    def _of(self, name: str, variable: str) -> Tensor:
        key = _flat(f"{name}/{variable}")
        return self.values[key] if key in self.values else getattr(self, key)

    def _same(self, node: dict, norm: None, x: Tensor) -> Tensor:
        return x

    def _conv2d(self, node: dict, norm: dict | None, x: Tensor) -> Tensor:
        return self._convolved(node, norm, x, groups=1)

    def _depthwiseconv2d(self, node: dict, norm: dict | None, x: Tensor) -> Tensor:
        return self._convolved(node, norm, x, groups=x.shape[1])

    def _convolved(self, node: dict, norm: dict | None, x: Tensor, groups: int) -> Tensor:
        kernel, bias = self._of(node["name"], "kernel"), None
        if norm is not None:
            scale = self._of(norm["name"], "gamma") * torch.rsqrt(
                self._of(norm["name"], "moving_variance") + norm["epsilon"]
            )
            kernel = kernel * scale[:, None, None, None]
            bias = self._of(norm["name"], "beta") - self._of(norm["name"], "moving_mean") * scale
        elif node["use_bias"]:
            bias = self._of(node["name"], "bias")
        x, padding = _padded(x, kernel.shape[2], node)
        return F.conv2d(
            x, kernel.to(x.dtype), None if bias is None else bias.to(x.dtype), node["strides"], padding, groups=groups
        )

    def _separableconv2d(self, node: dict, norm: None, x: Tensor) -> Tensor:
        kernel = self._of(node["name"], "depthwise_kernel")
        x, padding = _padded(x, kernel.shape[2], node)
        x = F.conv2d(x, kernel.to(x.dtype), None, node["strides"], padding, groups=x.shape[1])
        return F.conv2d(x, self._of(node["name"], "pointwise_kernel").to(x.dtype))

    def _batchnormalization(self, node: dict, norm: None, x: Tensor) -> Tensor:
        mean, variance, gamma, beta = (
            self._of(node["name"], each) for each in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, self.training, 1 - node["momentum"], node["epsilon"])

    def _relu(self, node: dict, norm: None, x: Tensor) -> Tensor:
        return F.hardtanh(x, 0.0, node["max_value"], inplace=True) if node["max_value"] else F.relu(x)

    def _activation(self, node: dict, norm: None, x: Tensor) -> Tensor:
        if node["activation"] != "relu":
            raise ValueError(f"{node['name']}: only relu is known. Received: {node['activation']}")
        return F.relu(x, inplace=True)

    def _add(self, node: dict, norm: None, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def _concatenate(self, node: dict, norm: None, *tensors: Tensor) -> Tensor:
        return torch.cat(tensors, dim=1)

    def _zeropadding2d(self, node: dict, norm: None, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = node["padding"]
        return F.pad(x, (left, right, top, bottom))

    def _upsampling2d(self, node: dict, norm: None, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=tuple(map(float, node["size"])), mode="bilinear", align_corners=False)


def is_depthwise(kind: str, key: str) -> bool:
    """Return whether a variable is the kernel of a depthwise convolution."""
    return "depthwise" in key or (kind == "DepthwiseConv2D" and key.endswith("/kernel"))


def _flat(key: str) -> str:
    return key.replace("/", "__")


def _padded(x: Tensor, kernel: int, node: dict) -> tuple[Tensor, int]:
    """Pad as Keras' "same" does: with stride 2, an even side gets one pixel less before it than after it."""
    stride = node["strides"][0]
    if node["padding"] == "valid" or kernel == 1:
        return x, 0
    if stride == 1:
        return x, kernel // 2
    across, down = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (x.shape[3], x.shape[2]))
    return F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)), 0


def keras_values(network: Network, graph: dict) -> dict[str, np.ndarray]:
    """Return the values in Keras' layout, under the names that `gpu_files.py` wrote."""
    kinds = {node["name"]: node["kind"] for node in graph["nodes"]}
    state = {**dict(network.values.items()), **dict(network.named_buffers())}
    values = {}
    for flat, value in state.items():
        name, variable = flat.split("__")
        value = value.detach().float().cpu()
        if value.ndim == 4:
            value = value.permute((2, 3, 0, 1) if is_depthwise(kinds[name], f"{name}/{variable}") else (2, 3, 1, 0))
        values[f"{name}/{variable}"] = value.numpy()
    return values


def load_network(folder: Path, name: str, start: Path | None = None) -> tuple[Network, dict]:
    """Build a network with the prepared values, or with those in the folder `start`; return it with its layers."""
    graph = json.loads((folder / f"{name}.json").read_text())
    return Network(graph, dict(np.load((start or folder) / f"{name}.npz"))), graph
