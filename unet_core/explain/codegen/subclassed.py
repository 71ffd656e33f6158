"""The subclassed program: every block is an attribute, and every tensor has a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from unet_core.architecture.config import UNetConfig
from unet_core.architecture.encoder_walks import FEATURE_LAYERS
from unet_core.architecture.layer_specs import LayerSpec, Shape
from unet_core.architecture.walk import walk
from unet_core.explain.codegen.layers import layer_source
from unet_core.explain.codegen.program import WIDTH, Program

_BROKEN: Shape = (0, 0, 0)  # of every feature map after the layer that breaks, so that nothing is aligned there


@dataclass
class Step:
    """One statement of the class: consecutive layers that form one attribute, and the variable of their output."""

    variable: str
    layer: str  # the last one's name
    block: str = ""  # of the network, for example "decoder2"
    part: str = ""  # of the block: "conv", "up", or the end of a single layer's name
    specs: list[LayerSpec] = field(default_factory=list)
    inputs: tuple[Step, ...] = ()

    @property
    def arguments(self) -> str:
        """The arguments of the attribute's call."""
        names = ", ".join(step.variable for step in self.inputs)
        return f"[{names}]" if len(self.inputs) > 1 else names


class Steps:
    """The walk's backend that records the network, also after the layer that breaks."""

    def __init__(self, config: UNetConfig, shapes: dict[str, Shape]) -> None:
        self.config, self.shapes = config, shapes
        self.steps: list[Step] = []
        self.block, self.broken = "", False

    def enter(self, block: str) -> None:
        """Start a block; the output of a decoder block before it is named after that block."""
        if self.block.startswith("decoder"):
            self.steps[-1].variable = self.block
        self.block = block

    def shape(self, tensor: Step) -> Shape:
        """Return the traced shape of a feature map."""
        return _BROKEN if self.broken else self.shapes[tensor.layer]

    def encoder(self, image: Step) -> list[Step]:
        """Return the pretrained encoder's feature maps."""
        variables = [*(f"encoder{level}" for level in range(1, self.config.depth)), "features"]
        return [Step(*each) for each in zip(variables, FEATURE_LAYERS[self.config.encoder])]

    def layer(self, spec: LayerSpec, *inputs: Step) -> Step:
        """Add a layer, to the previous step if both belong to the same convolutions or upsampling."""
        part = spec.name.removeprefix(f"{self.block}_")
        if self.block != "head":
            part = next((row for row in ("conv", "up") if part.startswith(row)), part)
        last = self.steps[-1] if self.steps else None
        if last is None or (last.block, last.part) != (self.block, part):
            last = Step(self._variable(part), spec.name, self.block, part, inputs=inputs)
            self.steps.append(last)
        last.layer = spec.name
        last.specs.append(spec)
        self.broken = self.broken or spec.name not in self.shapes
        return last

    def _variable(self, part: str) -> str:
        if self.block in ("bottleneck", "head"):
            return {"bottleneck": "features", "head": "logits"}[self.block]
        names = {"pool": "pooled", "up": "upsampled", "crop": "skip", "pad": "skip", "concat": "merged"}
        names["dropout"] = "dropped"
        names |= dict.fromkeys(("resize", "crop_upsampled", "pad_upsampled"), "upsampled")
        return f"{names[part]}{self.block[-1]}" if part in names else self.block


class Subclassed(Program):
    """The values for the template of the subclassed program."""

    template = "subclassed.py.jinja"

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        backend = Steps(config, self.shapes)
        walk(config, backend, Step("image", "image"))
        self.last_step = backend.steps[-1]
        self.sections: dict[str, list[Step]] = {"Contracting path": [], "Expanding path": [], "Head": []}
        for step in backend.steps:
            half = "Expanding path" if step.block.startswith("decoder") else "Contracting path"
            self.sections["Head" if step.block == "head" else half].append(step)

    @property
    def encoder_call(self) -> str:
        """The statement that assigns the pretrained encoder's feature maps."""
        if self.config.skip_mode == "none":
            return "features = self.encoder(image)[-1]"
        names = ", ".join(f"encoder{level}" for level in range(1, self.config.depth))
        return f"{names}, features = self.encoder(image)"

    @cached_property
    def upsamples_in_a_function(self) -> bool:
        """Whether upsampling takes several layers, or one too long for a line of the class."""
        layers = self.upsampling_layers("decoder4")
        name = "upconv" if self.config.up_convolution else "upsample"
        return len(layers) > 1 or len(f"        self.decoder4_{name} = {layers[0]}".replace("filters", "256")) > WIDTH

    def attribute(self, step: Step) -> str:
        """Return the name of a step's attribute."""
        if step.part == "conv":
            return step.block
        return step.specs[0].name if len(step.specs) == 1 else f"{step.block}_{step.part}"

    def source(self, step: Step) -> str:
        """Return the expression that creates a step's layers."""
        if step.part == "conv":
            count = len(step.specs) // len(self.convolution_layers)
            extra = "" if self.count else f", {count}"
            return f'convolution_block({step.specs[0].positional[0]}, "{step.block}"{extra})'
        if step.part == "up" and self.upsamples_in_a_function:
            function = "up_convolution" if len(step.specs) == 1 else "upsample_block"
            filters = f"{self.config.decoder_filters(int(step.block[-1]))}, " if self.config.up_convolution else ""
            return f'{function}({filters}"{step.block}")'
        return layer_source(step.specs[0])
