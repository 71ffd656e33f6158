"""Error messages: what Keras and TensorFlow really say about people's mistakes, and what is read from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.keras_mistakes import MISTAKES
from unet_core.architecture.presets import preset_config
from unet_core.architecture.trace import trace
from unet_core.foreign.messages import MAX_TEXT, UnknownMessage, read_message
from unet_core.foreign.mismatch import merge_reason
from unet_core.foreign.places import find_places, known_networks
from unet_core.settings import ROOT

STORED: dict[str, str] = json.loads((Path(__file__).parent / "keras_messages.json").read_text(encoding="utf-8"))

# For each mistake: the kind, the shapes, a word of the cause and one of the first change.
EXPECTED = {
    "concatenate": ("merge", ((125, 125, 8), (124, 124, 8)), "125 is odd", "124 or 126"),
    "concatenate_at_fit": ("merge", ((25, 25, 8), (24, 24, 8)), "25 is odd", "24 or 26"),
    "concatenate_in_a_subclass": ("merge", ((125, 125, 8), (124, 124, 8)), "125 is odd", "124 or 126"),
    "concatenate_operation": ("merge", ((124, 124, 8), (125, 125, 8)), "125 is odd", "124 or 126"),
    "concatenate_axis": ("merge", ((32, 32, 64), (32, 32, 128)), "another axis", "axis=-1"),
    "add": ("merge", ((32, 32, 64), (32, 32, 128)), "equal channels", "1×1 convolution"),
    "add_operation": ("merge", ((33, 33, 8), (32, 32, 8)), "33 is odd", "32 or 34"),
    "too_small_for_convolution": ("too_small", ((2, 2, 8),), "3×3 window", "larger input"),
    "too_small_for_pooling": ("too_small", ((1, 1, 256),), "2×2 window", "larger input"),
    "cropped_away": ("too_small", ((8, 8, 3),), "as many rows", "half of the difference"),
    "channels": ("channels", ((32, 32, 1),), "3 input channels", "channels=3"),
    "flattened_size": ("channels", ((243,),), "one input size", "192"),
    "input_size": ("input_size", ((32, 32, 3), (64, 64, 3)), "fixed Input", "32×32"),
    "no_batch": ("axes", ((2, 32, 3),), "height is then taken for the batch", "tf.newaxis"),
    "flat_input": ("axes", ((None, 8),), "(batch, height", "flatten"),
    "colour_masks": ("target", ((16, 16, 3), (16, 16, 1)), "colour picture", "channels=1"),
    "integer_masks": ("target", ((16, 16, 1), (16, 16, 3)), "one number per pixel", "SparseCategorical"),
    "masks_without_channels": ("target", ((16, 16), (16, 16, 3)), "no axis for channels", "tf.newaxis"),
    "one_hot_masks": ("target", ((16, 16, 3), (16, 16, 3)), "one-hot", "CategoricalCrossentropy"),
    "large_masks": ("target", ((32, 32), (16, 16, 3)), "2 times smaller", "decoder block"),
    "large_masks_for_mse": ("target", ((32, 32, 1), (16, 16, 1)), "2 times smaller", "decoder block"),
    "valid_padding": ("target", ((572, 572), (388, 388, 2)), "184 pixels smaller", "92:480"),
    "classes_of_logits": ("target", ((512, 3), (512, 2)), "3 numbers in the masks", "Conv2D(3, 1)"),
    "sigmoid_of_three": ("target", ((16, 16, 3), (16, 16, 1)), "colour picture", "channels=1"),
    "label_out_of_range": ("labels", (), "0 to 2", "subtract 1"),
    "label_255": ("labels", (), "0 to 1", "divide by 255"),
    "metric_of_scores": ("metric", ((512,), (1536,)), "3 times as many", "sparse_y_pred=False"),
    "function_of_tensorflow": ("graph", (), "no values yet", "layers.Concatenate"),
    "disconnected": ("graph", (), "another Input", "Make the Input once"),
    "other_weights": ("weights", ((3, 3, 3, 8), (3, 3, 4, 8)), "arrays only", "arguments it was trained with"),
    "whole_numbers": ("type", (), "float32", "/ 255"),
    "reshaped": ("reshape", ((8, 8, 3), (4, 4, 8)), "same values", "-1"),
    "memory": ("memory", ((4096, 4096, 64),), "17.6 TB", "smaller batch than 4096"),
}

OLDER = {  # how earlier versions of TensorFlow and Keras said it
    "ConcatOp : Dimension 1 in both shapes must be equal: shape[0] = [8,125,125,128] vs. shape[1] = [8,124,124,128] "
    "[Op:ConcatV2] name: concat": ("merge", ((125, 125, 128), (124, 124, 128))),
    "ValueError: A `Concatenate` layer requires inputs with matching shapes except for the concat axis. Got inputs "
    "shapes: [(None, 64, 64, 512), (None, 56, 56, 512)]": ("merge", ((64, 64, 512), (56, 56, 512))),
    "ConcatOp : Dimensions of inputs should match: shape[0] = [1,63,63,256] vs. shape[1] = [1,62,62,512]":
        ("merge", ((63, 63, 256), (62, 62, 512))),
    "ValueError: Negative dimension size caused by subtracting 2 from 1 for '{{node max_pooling2d_4/MaxPool}} = "
    "MaxPool[T=DT_FLOAT, ksize=[1, 2, 2, 1], padding=\"VALID\"](Placeholder)' with input shapes: [?,1,1,512].":
        ("too_small", ((1, 1, 512),)),
    "InvalidArgumentError: logits and labels must have the same first dimension, got logits shape [301088,2] and "
    "labels shape [654368]": ("target", ((572, 572), (388, 388))),
    "ValueError: Shapes (None, 128, 128, 1) and (None, 128, 128, 3) are incompatible":
        ("target", ((128, 128, 1), (128, 128, 3))),
    "ValueError: Input 0 is incompatible with layer model: expected shape=(None, 128, 128, 3), found shape="
    "(None, 256, 256, 3)": ("input_size", ((128, 128, 3), (256, 256, 3))),
    "ResourceExhaustedError: OOM when allocating tensor with shape[16,64,568,568] and type float on /job:localhost"
    "/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:Conv2D]": ("memory", ((64, 568, 568),)),
    "ValueError: Operands could not be broadcast together with shapes (32, 32, 64) (31, 31, 64)":
        ("merge", ((32, 32, 64), (31, 31, 64))),
    "Epoch 3/10\n184/184 [====] - 41s 220ms/step - loss: nan - accuracy: 0.3": ("nan", ()),
}  # fmt: skip


def test_every_mistake_is_stored_and_expected() -> None:
    assert STORED.keys() == MISTAKES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_of_keras_is_read(name: str) -> None:
    kind, shapes, cause, change = EXPECTED[name]
    found = read_message(STORED[name])
    assert (found.kind, found.shapes) == (kind, shapes)
    assert cause in found.why
    assert change in found.changes[0]


@pytest.mark.parametrize("text", OLDER)
def test_a_message_of_an_earlier_version_is_read(text: str) -> None:
    found = read_message(text)
    assert (found.kind, found.shapes) == OLDER[text]


@pytest.mark.slow
def test_keras_still_says_what_is_stored() -> None:
    command = [sys.executable, "-m", "tests.helpers.keras_mistakes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=600)
    said = json.loads(done.stdout)
    assert said.keys() == STORED.keys()
    for name, text in said.items():
        assert read_message(text) == read_message(STORED[name]), name


def test_a_traceback_names_the_visitors_own_line_and_the_layer() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/home/ada/unet.py", line 61, in <module>\n    model = build()\n'
        '  File "/home/ada/unet.py", line 47, in build\n    x = concatenate([skip, x])\n'
        '  File "/usr/lib/python3.11/site-packages/keras/src/utils/traceback_utils.py", line 122, in error_handler\n'
        "    raise e\n" + STORED["concatenate"]
    )
    assert read_message(text).frame == "line 47 of unet.py, in build"
    assert read_message(STORED["concatenate"]).frame == ""
    assert read_message(STORED["channels"]).layer == "conv2d"


def test_flat_pixel_counts_give_the_two_sizes_and_the_batch() -> None:
    counts = f"got logits shape [{4 * 388**2},2] and labels shape [{4 * 572**2}]"
    found = read_message(f"logits and labels must have the same first dimension, {counts}")
    assert "572² and 388² pixels for a batch of 4" in found.why
    assert "92:480" in found.changes[0]


@pytest.mark.parametrize("text", ["", "hello", "x = layers.Conv2D(3)(x)", "Concatenate layer requires", "[" * 5000])
def test_a_text_without_a_known_message_says_what_to_paste(text: str) -> None:
    with pytest.raises(UnknownMessage, match="Paste the last lines of the traceback"):
        read_message(text)
    with pytest.raises(UnknownMessage, match="at most"):
        read_message("x" * (MAX_TEXT + 1))


@given(st.text(), st.sampled_from(sorted(STORED)), st.integers(0, 400))
def test_no_text_breaks_the_reader(text: str, name: str, cut: int) -> None:
    for tried in (text, STORED[name][:cut] + text, STORED[name][cut:]):
        try:
            read_message(tried)
        except UnknownMessage:
            continue


@given(st.integers(1, 6), st.integers(1, 700))
def test_a_pixel_lost_in_halving_is_recognized_at_every_depth(halvings: int, side: int) -> None:
    smaller = (side >> halvings) << halvings
    if not smaller or smaller == side:
        return
    reason = merge_reason((side, side, 8), (smaller, smaller, 16))
    assert "rounds it down" in reason.why or "rounding down" in reason.why
    assert reason == merge_reason((smaller, smaller, 16), (side, side, 8))


def test_a_border_and_a_missing_upsampling_are_told_apart() -> None:
    assert "Cropping2D(4) makes 56 of 64" in merge_reason((64, 64, 512), (56, 56, 512)).changes[0]
    assert "one halving apart" in merge_reason((128, 128, 64), (64, 64, 64)).why
    assert "padding='same' rounds it up to 16" in merge_reason((31, 31, 8), (32, 32, 8)).why


@pytest.mark.parametrize(
    ("preset", "side"), [("keras_basic", 250), ("keras_basic", 253), ("subclassed", 250), ("pets_fast", 130)]
)
def test_a_message_leads_to_the_layer_of_the_network_that_caused_it(preset: str, side: int) -> None:
    problem = trace(preset_config(preset), (side, side)).problem
    assert problem is not None
    maps = ", ".join(str((None, *shape)) for shape in problem.shapes)
    message = read_message(
        f"ValueError: A `Concatenate` layer requires inputs with matching shapes. Received: input_shape=[{maps}]"
    )
    place = find_places(message, {"Own": preset_config(preset)})[0]
    assert (place.problem.layer, place.problem.shapes) == (problem.layer, problem.shapes)
    assert side in place.sizes
    for size in place.problem.suggested_sizes:
        assert trace(place.config, size).valid
    assert any(other.problem.layer == problem.layer for other in find_places(message, known_networks()))


def test_the_papers_network_without_cropping_is_among_the_known_ones() -> None:
    message = read_message(next(text for text in OLDER if "64, 64, 512" in text))
    (place,) = find_places(message, known_networks())
    assert "without cropping" in place.network
    assert place.problem.layer == "decoder4_concat"
    assert 572 in place.sizes
    assert find_places(read_message(STORED["channels"]), known_networks()) == ()
