"""Keras source: what is read without running it, against what Keras builds when the same text is run."""

from __future__ import annotations

import contextlib
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from unet_core.architecture.presets import PRESETS, preset_config
from unet_core.architecture.trace import trace
from unet_core.explain.codegen import functional_source, subclassed_source
from unet_core.explain.tutorial_variants import PARAMETERS, VARIANTS
from unet_core.foreign.drawing import draw
from unet_core.foreign.network import ReadNetwork
from unet_core.foreign.source import SourceError, looks_like_source, read_source

FOLDER = Path(__file__).parent / "sources"
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.txt"))}
CONTAINERS = ("Functional", "Sequential", "InputLayer")


def built(source: str) -> Any:
    """Run a text of these tests, and return the model that it calls `model`."""
    import keras

    keras.backend.clear_session()
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, "source.py", "exec"), names)
    return names["model"]


def leaves(model: Any) -> Counter[tuple[str, int]]:
    """Count the layers inside a model by class and parameters; layers of the text's own only contain others."""
    own = list(model._flatten_layers(include_self=False, recursive=True))
    return Counter(
        (type(layer).__name__, layer.count_params())
        for layer in own
        if type(layer).__module__.startswith("keras.src.layers") and type(layer).__name__ not in CONTAINERS
    )


def read_leaves(network: ReadNetwork) -> Counter[tuple[str, int | None]]:
    """Count the same of what was read: each layer once, without the operations that are no layers."""
    return Counter((layer.kind, layer.params) for layer in network.layers if "(use " not in layer.name)


def keras_shapes(model: Any) -> list[tuple[int, ...]]:
    outputs = model.outputs if getattr(model, "outputs", None) else None
    return [tuple(output.shape[1:]) for output in outputs] if outputs else []


def test_there_are_twenty_styles_and_more() -> None:
    assert len(SOURCES) >= 20


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_what_is_read_is_what_keras_builds(name: str) -> None:
    model, network = built(SOURCES[name]), read_source(SOURCES[name])
    assert network.failure is None
    assert network.unread == ()
    assert network.params_known
    assert network.total_params == model.count_params()
    assert list(network.output_shapes) == (keras_shapes(model) or list(network.output_shapes))
    read, real = read_leaves(network), leaves(model)
    for kind, count in real.items():
        assert read[kind] == count, kind
    assert not {kind for kind in read if kind[1]} - real.keys()


# As Keras counts them; the slow test above compares every layer.
PARAMETERS_OF = {
    "add_layers": 106_851, "attention": 522_420, "builder": 260_018, "dictionary": 1_862_979, "dilated": 606_481,
    "kaggle": 130_833, "mobilenet_encoder": 6_504_227, "multires": 105_040, "nested": 552_147, "operators": 13_939,
    "partials": 29_573, "recursive": 183_412, "residual": 4_131_953, "residual_separable": 1_273_219,
    "resize_in_call": 43_217, "sequential_blocks": 10_898_435, "squeeze_excite": 76_804, "straight_lines": 1_825_861,
    "subclass_lists": 484_179, "subclass_nested": 39_604, "subclass_setattr": 85_194, "valid_padding": 31_031_940,
    "vgg_encoder": 22_724_097,
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_every_style_is_read_whole(name: str) -> None:
    network = read_source(SOURCES[name])
    assert (network.failure, network.unread, network.assumed) == (None, (), ())
    assert network.total_params == PARAMETERS_OF[name]
    assert all(layer.line for layer in network.layers)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("write", [functional_source, subclassed_source])
def test_the_programs_that_the_page_writes_are_read(preset: str, write: Any) -> None:
    network, traced = read_source(write(preset_config(preset))), trace(preset_config(preset))
    assert network.output_shapes == (traced.output_shape,)
    assert network.total_params == traced.total_params
    assert len(network.layers) == len(traced.layers)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_tutorials_subclassed_networks_are_read_and_break_where_keras_does(name: str) -> None:
    works = read_source(VARIANTS[name].source)
    assert works.total_params == PARAMETERS
    assert "256×256×3" in str(works.assumed[0])
    failure = read_source(VARIANTS[name].source, (250, 250)).failure
    assert failure is not None
    assert (failure.shapes, failure.suggested_sizes) == (
        ((125, 125, 128), (124, 124, 128)),
        ((248, 248), (252, 252)),
    )
    assert "concatenate" in VARIANTS[name].source.splitlines()[failure.line - 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["straight_lines", "dictionary", "nested", "kaggle", "squeeze_excite", "recursive"])
def test_a_size_that_breaks_here_breaks_keras_at_the_same_layer_and_a_suggested_one_works(name: str) -> None:
    sizes = {"straight_lines": "(256, 256, 1)", "dictionary": "input_height=100", "nested": "nested_unet(96, 96",
             "kaggle": "im_height = 128", "squeeze_excite": "(72, 72, 3)", "recursive": "(64, 96, 3)"}  # fmt: skip
    broken = {"straight_lines": "(254, 254, 1)", "dictionary": "input_height=20", "nested": "nested_unet(97, 96",
              "kaggle": "im_height = 130", "squeeze_excite": "(75, 75, 3)", "recursive": "(65, 96, 3)"}  # fmt: skip
    source = SOURCES[name].replace(sizes[name], broken[name])
    assert source != SOURCES[name]
    failure = read_source(source).failure
    assert failure is not None
    with pytest.raises(ValueError, match="Concatenate|crop|negative|inputs") as error:
        built(source)
    said = str(error.value)
    for shape in failure.shapes:
        assert ", ".join(map(str, shape)) in said
    for size in failure.suggested_sizes:
        assert read_source(source, size).failure is None


# --- what is not there, or cannot be read -----------------------------------------------------------------------------

SNIPPET = """
def conv(x, n):
    return Conv2D(n, 3, padding='same', activation='relu')(x)

def get_unet(n_filters, n_classes):
    inputs = Input((IMG_HEIGHT, IMG_WIDTH, IMG_CHANNELS))
    a = conv(inputs, n_filters)
    b = conv(MaxPooling2D()(a), n_filters * 2)
    c = concatenate([a, UpSampling2D()(b)])
    return Model(inputs, Conv2D(n_classes, 1)(c))
"""


def test_a_snippet_without_imports_constants_and_call_is_read_and_says_what_it_assumes() -> None:
    network = read_source(SNIPPET)
    assert network.output_shapes == ((256, 256, 3),)
    said = "\n".join(map(str, network.assumed))
    for words in ("Conv2D is not imported", "IMG_HEIGHT is not defined in this text, and taken as 256",
                  "n_filters of get_unet is not given, and taken as 64"):  # fmt: skip
        assert words in said
    assert read_source(SNIPPET, (101, 64)).failure is not None


def test_a_prompt_a_magic_and_an_indentation_are_no_obstacles() -> None:
    notebook = "%matplotlib inline\n!pip install keras\n" + SNIPPET
    prompt = "\n".join((">>> " if line[:1].strip() else "... ") + line for line in SNIPPET.splitlines() if line)
    indented = "\n".join("    " + line for line in SNIPPET.splitlines())
    for text in (notebook, prompt, indented):
        assert read_source(text).total_params == read_source(SNIPPET).total_params


def test_what_cannot_be_read_is_named_with_its_line_and_the_rest_is_read() -> None:
    source = (
        "from keras import Input, Model, layers\n"
        "from my_library import fancy\n"
        "x = inputs = Input((64, 64, 3))\n"
        "a = layers.Conv2D(8, 3, padding='same')(x)\n"
        "b = fancy(a, strength=3)\n"
        "c = layers.Conv2D(16, 1)(b)\n"
        "d = layers.LSTM(4)(c)\n"
        "model = Model(inputs, layers.Conv2D(2, 1)(layers.Concatenate()([a, c])))\n"
    )
    network = read_source(source)
    said = [str(note) for note in network.unread]
    assert any(note.startswith("line 5: ") and "fancy" in note for note in said)
    assert any(note.startswith("line 7: ") and "LSTM" in note for note in said)
    assert not network.params_known
    assert network.by_name["conv2d_1"].output_shape == (None, None, 16)
    assert network.by_name["conv2d"].output_shape == (64, 64, 8)


def test_an_unknown_argument_is_named() -> None:
    network = read_source("from keras import Input, layers\nimport config\nx = Input((8, 8, 3))\n"
                          "y = layers.Conv2D(config.width, 3)(x)\n")  # fmt: skip
    assert "line 4: conv2d: filters is not known" in map(str, network.unread)


def test_a_layer_that_is_used_twice_counts_once_and_refuses_other_channels() -> None:
    source = "from keras import Input, Model, layers\nx = Input((8, 8, 3))\nc = layers.Conv2D(3, 1)\ny = c(c(x))\n"
    assert read_source(source + "m = Model(x, y)").total_params == 12
    failure = read_source(source.replace("(3, 1)", "(4, 1)")).failure
    assert failure is not None
    assert "3 channels, and here it gets 4" in failure.why


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", "no complete Python source: line 1"),
        ("import os\nprint(1 + 1)", "No network was found"),
        ("x = " + "(" * 300 + ")" * 300, "Python|parsed"),
        ("x = " + "-" * 90_000 + "1", "parsed|nested|No network"),
        ("x = " + "[" * 150 + "]" * 150, "No network"),
        ("a = 1\x00", "zero byte"),
        ("x" * 100_001, "at most"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        read_source(text)


NETWORK = "from keras import Input, layers\ny = layers.Conv2D(1, 1)(Input((8, 8, 3)))\n"


@pytest.mark.parametrize(
    "bomb",
    [
        "while True: pass",
        "x = [0]\nwhile True: x = x + x",
        "x = 'a'\nwhile True: x += x",
        "x = 9 ** 9 ** 9",
        "x = 10\nfor i in range(100): x = x * x",
        "x = 1 << 10 ** 9",
        "x = [0] * 10 ** 12",
        "x = 'ab' * 10 ** 10",
        "x = list(range(10 ** 12))",
        "def f(): return f()\nf()",
        "f = lambda: f()\nf()",
        "x = f'{1:>1000000000}'\ny = '{:>1000000000}'.format(1)\nz = '%1000000000d' % 1",
        "a = [1]\nfor i in range(60): a = [a, a]\nprint(a == a)\nb = str(a)\nc = f'{a}'\nd = {a: 1}",
        "x = 'a' * 9999\nfor i in range(99): x = x.replace('a', 'aaaaaaaaaa')",
        "x = [i for i in range(9999) for j in range(9999) for k in range(9999)]",
        "x = 0\nfor i in range(9999):\n    for j in range(9999):\n        x += 1",
        "class A:\n    def __getattr__(self, n): return self\nclass B(A): pass\nB().x.y.z()",
        "class A: pass\nA.__bases__ = A\nclass A(A): pass\nA()",
        "import os\nos.system('touch /tmp/never')\n__import__('os').system('false')\neval('1')\nexec('1')",
        "open('/etc/passwd').read()\n(lambda: 0).__globals__\n().__class__.__bases__[0].__subclasses__()",
        "x = Input((10 ** 15, 10 ** 15, 3))",
        "x = y\nfor i in range(5000): x = layers.Conv2D(1, 1)(x)",
        "d = {}\nfor i in range(99999): d[i] = i",
        "x = (1 for _ in iter(int, 1))\nsum(x)",
        "import math\nx = math.log(-1)\ny = 1 / 0",
        "a, b = 1\nc = [1, 2][7]\nd = {}['x']",
    ],
)  # fmt: skip
def test_hostile_source_ends_soon_and_does_nothing(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.system", lambda *_: pytest.fail("it was run"))
    for text in (NETWORK + bomb, bomb + "\n" + NETWORK):
        try:
            network = read_source(text)
        except SourceError:
            continue
        assert len(network.layers) <= 3_000


@pytest.mark.parametrize("text", SOURCES.values(), ids=SOURCES)
def test_source_is_told_from_errors(text: str) -> None:
    assert looks_like_source(text)
    assert not looks_like_source("ValueError: A `Concatenate` layer requires inputs with matching shapes")
    assert not looks_like_source(
        'Traceback (most recent call last):\n  File "a.py", line 1\n    x = Conv2D(3)(x)\nError'
    )


@pytest.mark.parametrize("seed", range(150))
def test_damaged_source_never_ends_in_another_error(seed: int) -> None:
    chance = random.Random(seed)
    lines = chance.choice(list(SOURCES.values())).split("\n")
    for _ in range(chance.randint(1, 4)):
        number = chance.randrange(len(lines))
        words = re.findall(r"\w+|\W", lines[number]) or [""]
        place = chance.randrange(len(words))
        match chance.randrange(4):
            case 0:
                words = []
            case 1:
                words[place] = chance.choice(
                    ["None", "-1", "0", "[]", "{}", "10**9", "1.5", "()", "self", "*", "layers"]
                )
            case 2:
                words.insert(place, chance.choice(words))
            case _:
                other = chance.randrange(len(words))
                words[place], words[other] = words[other], words[place]
        lines[number] = "".join(words)
    with contextlib.suppress(SourceError):
        draw(read_source("\n".join(lines)))
