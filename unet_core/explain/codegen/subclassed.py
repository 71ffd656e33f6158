"""The subclassed program: every block is an attribute and every tensor on its way has a name."""

from __future__ import annotations

from unet_core.architecture.encoders import ENCODERS
from unet_core.explain.codegen import layers as source
from unet_core.explain.codegen.program import WIDTH, Program, statement


class Subclassed(Program):
    """The program that writes the network as a class, one line and one named tensor for each step."""

    def program(self) -> str:
        """Return the whole program."""
        top = "\n\n".join([self.module_docstring(), self.imports()])
        if self.pretrained:
            top += "\n\n" + self.feature_layers()
        functions = [
            *self.own_encoder(),
            *([self._encoder()] if self.pretrained else []),
            *([self._convolution_block()] if self.has_blocks else []),
            *([self._upsample_block()] if self._upsamples_in_a_function() else []),
            self._class(),
            self._main(),
        ]
        return "\n\n\n".join([top, *functions]) + "\n"

    # -- helpers outside the class --

    def _convolution_block(self) -> str:
        count = self.count()
        conv = source.convolution(self.config, "filters", 'f"{name}_conv{number}"')
        steps = [conv, *self.normalization_and_activation("filters", "{name}_conv{number}")]
        return "\n".join(
            [
                f"def convolution_block(filters, name{'' if count else ', count'}):",
                f'    """Return a block: {self.convolution_words(count)}."""',
                "    block = keras.Sequential(name=name)",
                f"    for number in {self.numbers()}:",
                *(line for step in steps for line in _added(step, 2)),
                "    return block",
            ]
        )

    def _upsample_block(self) -> str:
        steps = self.upsampling_steps("filters", "{name}")
        filters = "filters, " if self.config.up_convolution else ""
        if len(steps) == 1:
            return "\n".join(
                [
                    f"def up_convolution({filters}name):",
                    '    """Return the layer that doubles height and width."""',
                    statement(f"return {steps[0]}", 1),
                ]
            )
        return "\n".join(
            [
                f"def upsample_block({filters}name):",
                '    """Return a block that doubles height and width."""',
                '    block = keras.Sequential(name=f"{name}_up")',
                *(line for step in steps for line in _added(step, 1)),
                "    return block",
            ]
        )

    def _upsamples_in_a_function(self) -> bool:
        """Whether doubling takes several layers, or one too long for a line of the class."""
        steps = self.upsampling_steps("256", "decoder4")
        name = "upconv" if self.config.up_convolution else "upsample"
        return len(steps) > 1 or len(f"        self.decoder4_{name} = {steps[0]}") > WIDTH + 1

    def _encoder(self) -> str:
        return "\n".join(
            [
                "def pretrained_encoder(image_shape):",
                f'    """Return {ENCODERS[self.config.encoder].title} as a model that gives its feature maps.',
                "",
                f"    {self.encoder_words()}",
                '    """',
                '    image = keras.Input(image_shape, name="image")',
                *self.encoder_lines(),
                "    features = [encoder.get_layer(name).output for name in FEATURE_LAYERS]",
                '    return keras.Model(image, features, name="encoder")',
            ]
        )

    # -- the class --

    def _class(self) -> str:
        return "\n".join(
            [
                "class UNet(keras.Model):",
                '    """The U-Net, for images of one size.',
                "",
                f"    {self.signature()}",
                '    """',
                "",
                "    def __init__(self, **options):",
                "        super().__init__(**options)",
                *self._init_lines(),
                "",
                "    def call(self, image):",
                *self._call_lines(),
            ]
        )

    def _levels(self) -> list[int]:
        return list(range(self.config.decoder_levels, -1 if self.full_size_block else 0, -1))

    def _block(self, filters: int, name: str, count: int) -> str:
        extra = "" if self.count() else f", {count}"
        return f'self.{name} = convolution_block({filters}, "{name}"{extra})'

    def _init_lines(self) -> list[str]:
        config, lines = self.config, ["# Contracting path"]
        if self.pretrained:
            lines.append(f"self.encoder = pretrained_encoder({config.input_shape})")
        else:
            for level in range(1, config.depth):
                filters, name = config.level_filters[level - 1], f"encoder{level}"
                lines.append(self._block(filters, name, config.encoder_convolutions))
                lines.append(_attribute(f"{name}_pool", source.pooling(config, str(filters), f'"{name}_pool"')))
            lines.append(self._block(config.level_filters[-1], "bottleneck", config.encoder_convolutions))
        if config.spatial_dropout:
            lines.append(_attribute("bottleneck_dropout", source.spatial_dropout(config)))
        lines += ["", "# Expanding path"]
        for level in self._levels():
            lines += self._decoder_init(level)
        lines += ["", "# Head"]
        lines.append(_attribute("head", source.head(config)))
        if config.head == "resize":
            lines.append(_attribute("head_upsample", source.upsampling("bilinear", '"head_upsample"')))
        if config.head_activation != "none":
            activation = source.activation(config.head_activation, '"head_activation"')
            lines.append(_attribute("head_activation", activation))
        return [statement(line, 2) if line else "" for line in lines]

    def _decoder_init(self, level: int) -> list[str]:
        config, name, filters = self.config, f"decoder{level}", self.decoder_filters(level)
        lines = [_attribute(*self._upsampler(level))]
        if level and config.skip_mode != "none":
            for row in self._aligning(level):
                lines.append(_attribute(row.name, source.layer_source(config, self.traced, row)))
            lines.append(_attribute(f"{name}_concat", source.concatenate(f'"{name}_concat"')))
        if config.decoder_convolutions:
            lines.append(self._block(filters, name, config.decoder_convolutions))
        return lines

    def _upsampler(self, level: int) -> tuple[str, str]:
        """Return the attribute that doubles the features, and the source that makes it."""
        name = f"decoder{level}"
        filters = str(self.decoder_filters(level))
        steps = self.upsampling_steps(filters, name)
        attribute = f"{name}_upconv" if self.config.up_convolution else f"{name}_upsample"
        if not self._upsamples_in_a_function():
            return attribute, steps[0].replace('f"', '"')
        arguments = f'{filters}, "{name}"' if self.config.up_convolution else f'"{name}"'
        if len(steps) == 1:
            return attribute, f"up_convolution({arguments})"
        return f"{name}_up", f"upsample_block({arguments})"

    def _aligning(self, level: int) -> list:
        return [
            row for row in self.traced.layers if row.block == f"decoder{level}" and row.op in ("crop", "pad", "resize")
        ]

    def _call_lines(self) -> list[str]:
        config = self.config
        lines = ["        # Contracting path"]
        if self.pretrained:
            names = [f"encoder{level}" for level in range(1, config.depth)]
            if config.skip_mode == "none":
                lines.append("        features = self.encoder(image)[-1]")
            else:
                lines.append(f"        {', '.join(names)}, features = self.encoder(image)")
        else:
            below = "image"
            for level in range(1, config.depth):
                name = f"encoder{level}"
                lines.append(statement(f"{name} = self.{name}({below})", 2, self.shape(self.last_of(name))))
                lines.append(statement(f"pooled{level} = self.{name}_pool({name})", 2, self.shape(f"{name}_pool")))
                below = f"pooled{level}"
            shape = self.shape(f"bottleneck_conv{config.encoder_convolutions}_activation")
            lines.append(statement(f"features = self.bottleneck({below})", 2, shape))
        if config.spatial_dropout:
            lines.append("        features = self.bottleneck_dropout(features)")
        lines += ["", "        # Expanding path"]
        for level in self._levels():
            lines += self._decoder_call(level)
        return [*lines, "", "        # Head", *self._head_call()]

    def _decoder_call(self, level: int) -> list[str]:
        config, name = self.config, f"decoder{level}"
        below = f"decoder{level + 1}" if level < config.decoder_levels else "features"
        attribute, _ = self._upsampler(level)
        blocks = [row.name for row in self.traced.layers if row.block == name]
        ups = [found for found in blocks if found.startswith((f"{name}_upconv", f"{name}_upsample"))]
        merges, convolves = bool(level) and config.skip_mode != "none", config.decoder_convolutions > 0
        current = f"upsampled{level}" if merges or convolves else name
        lines = [(f"{current} = self.{attribute}({below})", ups[-1] if ups else "")]
        if merges:
            skip = f"encoder{level}"
            for row in self._aligning(level):
                of_skip = row.name in (f"{name}_crop", f"{name}_pad")
                target = f"skip{level}" if of_skip else current
                lines.append((f"{target} = self.{row.name}({skip if of_skip else current})", row.name))
                skip = target if of_skip else skip
            merged = f"merged{level}" if convolves else name
            lines.append((f"{merged} = self.{name}_concat([{skip}, {current}])", f"{name}_concat"))
            current = merged
        if convolves:
            last = f"{name}_conv{config.decoder_convolutions}_activation"
            lines.append((f"{name} = self.{name}({current})", last))
        return [statement(text, 2, self.shape(layer)) for text, layer in lines]

    def _head_call(self) -> list[str]:
        config = self.config
        steps = ["head"]
        steps += ["head_upsample"] * (config.head == "resize")
        steps += ["head_activation"] * (config.head_activation != "none")
        names = ["logits"] * (len(steps) - 1)
        lines, current = [], f"decoder{self._levels()[-1]}"
        for step, target in zip(steps[:-1], names, strict=True):
            lines.append(statement(f"{target} = self.{step}({current})", 2, self.shape(step)))
            current = target
        lines.append(statement(f"return self.{steps[-1]}({current})", 2, self.shape(steps[-1])))
        return lines

    def _main(self) -> str:
        shape = ", ".join(map(str, self.config.input_shape))
        return "\n".join(
            [
                'if __name__ == "__main__":',
                '    model = UNet(name="unet")',
                f"    model(keras.Input(({shape})))  # creates the weights",
                "    model.summary()",
            ]
        )


def _attribute(name: str, expression: str) -> str:
    return f"self.{name} = {expression}"


def _added(layer: str, level: int) -> list[str]:
    """Return the statements that add a layer to `block`, two where one line is too short for it."""
    text = f"block.add({layer})"
    if 4 * level + len(text) <= WIDTH:
        return [statement(text, level)]
    return [statement(f"layer = {layer}", level), statement("block.add(layer)", level)]
