"""Examples to paste: errors as Keras writes them, and a network with a bug."""

EXAMPLES = {
    "Two sizes at a merge": "ValueError: A `Concatenate` layer requires inputs with matching shapes except for the "
    "concatenation axis. Received: input_shape=[(None, 62, 62, 512), (None, 63, 63, 256)]",
    "The paper's network": "InvalidArgumentError: ConcatOp : Dimension 1 in both shapes must be equal: "
    "shape[0] = [2,64,64,512] vs. shape[1] = [2,56,56,512] [Op:ConcatV2] name: concat",
    "Logits and labels": "InvalidArgumentError: logits and labels must have the same first dimension, "
    "got logits shape [301088,2] and labels shape [654368]",
    "Label out of range": "InvalidArgumentError: Received a label value of 3 which is outside the valid range of "
    "[0, 3).  Label values: 1 1 2 3 2",
    "Code with a bug": """\
from keras import Input, Model, layers


def block(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return x


def unet(input_shape, classes, widths=(32, 64, 128, 256)):
    x = inputs = Input(input_shape)
    skips = []
    for width in widths[:-1]:
        x = block(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = block(x, widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skips)):
        x = layers.Conv2DTranspose(width, 2, strides=2)(x)
        x = layers.concatenate([skip, x])
        x = block(x, width)
    return Model(inputs, layers.Conv2D(classes, 1)(x))


model = unet((300, 300, 3), classes=3)
""",
}
