"""The functional program: one tensor `x` goes through loops over the levels."""

from __future__ import annotations

from collections.abc import Iterable

from unet_core.architecture.encoders import ENCODERS
from unet_core.explain.codegen import layers as source
from unet_core.explain.codegen.program import WIDTH, Program, applied, statement


class Functional(Program):
    """The program in which one tensor `x` goes through loops over the levels."""

    def program(self) -> str:
        """Return the whole program."""
        parts = [self.module_docstring(), self.imports()]
        top = "\n\n".join(parts)
        if self.pretrained:
            top += "\n\n" + self.feature_layers()
        functions = [
            *self.own_encoder(),
            *([self._encoder()] if self.pretrained else []),
            *([self._convolution_block()] if self.has_blocks else []),
            *([self._upsample_block()] if self._upsamples_in_a_function() else []),
            *([_ALIGNMENTS[self.config.skip_mode]] if self.config.skip_mode in _ALIGNMENTS else []),
            self._build(),
            _MAIN_FUNCTIONAL,
        ]
        return "\n\n\n".join([top, *functions]) + "\n"

    # -- its helpers --

    def _block_call(self, filters: object, name: str, count: int) -> str:
        extra = "" if self.count() is not None else f", {count}"
        return f"x = convolution_block(x, {filters}, {name}{extra})"

    def _convolution_block(self) -> str:
        count = self.count()
        lost = f"{2 * count}" if count else "2 * count"
        size = "H, W" if self.config.padding == "same" else f"H - {lost}, W - {lost}"
        words = self.convolution_words(count)
        conv = source.convolution(self.config, "filters", 'f"{name}_conv{number}"')
        return "\n".join(
            [
                f"def convolution_block(x, filters, name{'' if count else ', count'}):",
                f'    """{words[0].upper()}{words[1:]}.',
                "",
                f"    (B, H, W, C) -> (B, {size}, filters)",
                '    """',
                f"    for number in {self.numbers()}:",
                *(
                    statement(applied(step), 2)
                    for step in (conv, *self.normalization_and_activation("filters", "{name}_conv{number}"))
                ),
                "    return x",
            ]
        )

    def _upsampling_lines(self, filters: str, name: str) -> list[str]:
        return [applied(step) for step in self.upsampling_steps(filters, name)]

    def _upsamples_in_a_function(self) -> bool:
        """Whether doubling takes several layers, or one too long for a line, or stands at two places."""
        lines = self._upsampling_lines("filters", "decoder{level}")
        return self.full_size_block or len(lines) > 1 or len(lines[0]) > WIDTH - 8

    def _upsample_block(self) -> str:
        learnt = self.config.up_convolution
        return "\n".join(
            [
                f"def upsample(x{', filters' if learnt else ''}, name):",
                f'    """Double height and width: (B, H, W, C) -> (B, 2H, 2W, {"filters" if learnt else "C"})."""',
                *(statement(line, 1) for line in self._upsampling_lines("filters", "{name}")),
                "    return x",
            ]
        )

    def _upsample_call(self, filters: str, name: str) -> list[str]:
        if not self._upsamples_in_a_function():
            return self._upsampling_lines(filters, name)
        quoted = f'{"f" * ("{" in name)}"{name}"'
        return [f"x = upsample(x{f', {filters}' if self.config.up_convolution else ''}, {quoted})"]

    def _encoder(self) -> str:
        return "\n".join(
            [
                "def pretrained_encoder(image):",
                f'    """Return the feature maps of {ENCODERS[self.config.encoder].title}, shallow first.',
                "",
                f"    {self.encoder_words()}",
                '    """',
                *self.encoder_lines(),
                "    return [encoder.get_layer(name).output for name in FEATURE_LAYERS]",
            ]
        )

    # -- the network --

    def _build(self) -> str:
        config = self.config
        output = self.output_kind
        return "\n".join(
            [
                f"def build_unet(height={config.height}, width={config.width}):",
                '    """Return the U-Net as a functional model.',
                "",
                f"    {self.signature()}",
                '    """',
                f'    image = keras.Input((height, width, {config.channels}), name="image")',
                "",
                *self._contracting_path(),
                "",
                *self._expanding_path(),
                "",
                *self._head(output),
                f'    return keras.Model(image, {output}, name="unet")',
            ]
        )

    def _level_shapes(self, prefix: str, levels: Iterable[int]) -> str:
        names = [self.last_of(f"{prefix}{level}") for level in levels]
        return ", ".join("x".join(map(str, self.shapes[name])) for name in names if name)

    def _contracting_path(self) -> list[str]:
        config = self.config
        if self.pretrained:
            lines = [
                "    # Contracting path: the pretrained encoder's feature maps at strides 2, 4, ...",
                "    *skips, x = pretrained_encoder(image)",
            ]
            return lines + ([f"    x = {source.spatial_dropout(config)}(x)"] if config.spatial_dropout else [])
        levels = range(1, config.depth)
        keep = config.skip_mode != "none"
        comment = "Contracting path" + (
            f"; skip connections: {self._level_shapes('encoder', levels)}" if keep and self.traced.skips else ""
        )
        filters = f"({', '.join(map(str, config.level_filters[:-1]))}{',' * (config.depth == 2)})"
        pool = source.pooling(config, "filters", 'f"encoder{level}_pool"')
        lines = [
            f"    # {comment}." if len(comment) < WIDTH - 8 else "    # Contracting path.",
            *(["    skips = []"] if keep else []),
            "    x = image",
            f"    for level, filters in enumerate({filters}, start=1):",
            "        " + self._block_call("filters", 'f"encoder{level}"', config.encoder_convolutions),
            *(["        skips.append(x)"] if keep else []),
            statement(f"x = {pool}(x)", 2),
            "",
            statement(
                self._block_call(config.level_filters[-1], '"bottleneck"', config.encoder_convolutions),
                1,
                self.shape(self.last_of("bottleneck")) if "bottleneck_conv1" in self.shapes else "",
            ),
        ]
        return lines + ([f"    x = {source.spatial_dropout(config)}(x)"] if config.spatial_dropout else [])

    def _expanding_path(self) -> list[str]:
        config = self.config
        levels = list(range(config.decoder_levels, 0, -1))
        uses_filters = config.up_convolution or config.decoder_convolutions
        if uses_filters:
            pairs = ", ".join(f"({level}, {self.decoder_filters(level)})" for level in levels)
            loop = f"for level, filters in ({pairs}{',' * (len(levels) == 1)}):"
        else:
            loop = f"for level in range({config.decoder_levels}, 0, -1):"
        body = self._upsample_call("filters", "decoder{level}")
        if config.skip_mode != "none":
            body += self._merge_lines()
        if config.decoder_convolutions:
            body.append(self._block_call("filters", 'f"decoder{level}"', config.decoder_convolutions))
        what = "double, merge with the level's skip connection" if config.skip_mode != "none" else "double"
        lines = [f"    # Expanding path: {what}{', convolve' * bool(config.decoder_convolutions)}."]
        lines += [statement(loop, 1), *(statement(line, 2) for line in body)]
        if self.full_size_block:
            filters = str(self.decoder_filters(0))
            lines += ["", "    # Back to the image's own size, where the encoder has no feature map to merge."]
            lines += [statement(line, 1) for line in self._upsample_call(filters, "decoder0")]
            if config.decoder_convolutions:
                lines.append("    " + self._block_call(filters, '"decoder0"', config.decoder_convolutions))
        return lines

    def _merge_lines(self) -> list[str]:
        """Return the statements that align and merge."""
        mode = self.config.skip_mode
        align, skip = [], "skips[level - 1]"
        # Plain halvings round down, so the upsampled side is the smaller; the encoders' round up.
        upsampled_is_larger = self.pretrained
        if mode == "resize":
            align = ['x = resize_like(x, skips[level - 1], f"decoder{level}_resize")']
        elif mode in ("crop", "pad"):
            if (mode == "crop") == upsampled_is_larger:
                align = [f'x = {mode}_like(x, skips[level - 1], f"decoder{{level}}_{mode}_upsampled")']
            else:
                align = [f'skip = {mode}_like(skips[level - 1], x, f"decoder{{level}}_{mode}")']
                skip = "skip"
        concatenate = source.concatenate('f"decoder{level}_concat"')
        return [*align, f"x = {concatenate}([{skip}, x])"]

    def _head(self, output: str) -> list[str]:
        config = self.config
        steps = [source.head(config)]
        if config.head == "resize":
            steps.append(source.upsampling("bilinear", '"head_upsample"'))
        if config.head_activation != "none":
            steps.append(source.activation(config.head_activation, '"head_activation"'))
        targets = ["x"] * (len(steps) - 1) + [output]
        classes = "one channel" if config.classes == 1 else f"{config.classes} channels, one per class"
        return [
            f"    # Head: {classes}.",
            *(statement(f"{target} = {step}(x)", 1) for target, step in zip(targets, steps, strict=True)),
        ]


_ALIGNMENTS = {
    "crop": '''\
def crop_like(x, reference, name):
    """Cut the border off `x`, so that it gets the height and width of `reference`."""
    rows, columns = x.shape[1] - reference.shape[1], x.shape[2] - reference.shape[2]
    if rows == columns == 0:
        return x
    margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    return layers.Cropping2D(margins, name=name)(x)''',
    "pad": '''\
def pad_like(x, reference, name):
    """Add a border of zeros to `x`, so that it gets the height and width of `reference`."""
    rows, columns = reference.shape[1] - x.shape[1], reference.shape[2] - x.shape[2]
    if rows == columns == 0:
        return x
    margins = ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2))
    return layers.ZeroPadding2D(margins, name=name)(x)''',
    "resize": '''\
def resize_like(x, reference, name):
    """Stretch `x` by bilinear interpolation to the height and width of `reference`."""
    if x.shape[1:3] == reference.shape[1:3]:
        return x
    return layers.Resizing(reference.shape[1], reference.shape[2], name=name)(x)''',
}

_MAIN_FUNCTIONAL = """\
if __name__ == "__main__":
    build_unet().summary()"""
