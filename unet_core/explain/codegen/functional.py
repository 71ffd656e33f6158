"""The functional program: one tensor `x` passes through loops over the levels."""

from __future__ import annotations

from functools import cached_property

from unet_core.architecture import layer_specs
from unet_core.explain.codegen.layers import layer_source, literal
from unet_core.explain.codegen.program import WIDTH, Program


class Functional(Program):
    """The values for the template of the functional program."""

    template = "functional.py.jinja"

    @cached_property
    def upsamples_in_a_function(self) -> bool:
        """Whether upsampling takes several layers, or one too long for a line, or occurs twice."""
        layers = self.upsampling_layers("decoder{level}")
        return self.config.has_full_size_block or len(layers) > 1 or len(f"x = {layers[0]}(x)") > WIDTH - 8

    def upsampling_calls(self, filters: int | str, block: str) -> list[str]:
        """Return the statements that upsample the features."""
        if not self.upsamples_in_a_function:
            return [f"x = {layer}(x)" for layer in self.upsampling_layers(block)]
        name = f"{'f' if '{' in block else ''}{literal(block)}"
        return [f"x = upsample(x{f', {filters}' if self.config.up_convolution else ''}, {name})"]

    def count_argument(self, count: int) -> str:
        """Return a block's argument for its number of convolutions, if blocks differ in it."""
        return "" if self.count is not None else f", {count}"

    @property
    def pooling_layer(self) -> str:
        """The layer that halves the features."""
        spec = layer_specs.pooling(self.config, 1)._replace(name="encoder{level}_pool")
        return layer_source(spec, filters="filters")

    @property
    def concatenation_layer(self) -> str:
        """The merge of a level's skip connection."""
        return layer_source(layer_specs.concatenation("decoder{level}"))

    @property
    def level_and_filters(self) -> str:
        """The pairs that the loop of the expansive path runs over."""
        return str(tuple((level, self.config.decoder_filters(level)) for level in self.config.decoder_blocks if level))

    @property
    def changed_side(self) -> str:
        """Which input of a merge changes its size: "skip", "x", or neither ("")."""
        mode = self.config.skip_mode
        if mode == "resize":
            return "x"
        if mode not in ("crop", "pad"):
            return ""
        # Poolings round down, so the upsampled features are smaller; pretrained encoders round up.
        upsampled_is_larger = self.pretrained
        return "x" if (mode == "crop") == upsampled_is_larger else "skip"

    @property
    def contracting_words(self) -> str:
        """The contracting path's comment: the shapes of the skip connections, if there is room."""
        if self.config.skip_mode == "none" or not self.traced.skips:
            return "Contracting path"
        names = [self.last_of(f"encoder{level}") for level in range(1, self.config.depth)]
        shapes = ", ".join("x".join(map(str, self.shapes[name])) for name in names if name)
        words = f"Contracting path; skip connections: {shapes}"
        return words if len(words) < WIDTH - 8 else "Contracting path"

    @property
    def bottleneck_comment(self) -> str:
        """The shape of the bottleneck's convolutions, as a comment."""
        return self.comment(self.last_of("bottleneck")) if "bottleneck_conv1" in self.shapes else ""

    def last_of(self, block: str) -> str:
        """Return the name of a block's last layer before pooling; empty if the network breaks before it."""
        names = [row.name for row in self.traced.layers if row.block == block and row.name != f"{block}_pool"]
        return names[-1] if names else ""
