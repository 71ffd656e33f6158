"""Cat or dog: what a network's second output says over the subject, in all runs on a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests.helpers.onnx_models import install, pixel_config
from unet_core.classes import CLASS_NAMES
from unet_core.data.oxford.oxford_pets import OxfordPets
from unet_core.errors import ConfigError
from unet_core.images import samples
from unet_core.images.decode import decode_image
from unet_core.segment import Segmenter
from unet_core.segment.batch import PackedModel
from unet_core.segment.correction import Correction
from unet_core.segment.downloads import statistics_csv
from unet_core.segment.inference import InferenceMode, segment
from unet_core.segment.kinds import decided, listening
from unet_core.segment.network import run
from unet_core.segment.passes import TwoPasses, photo_probabilities, single
from unet_core.segment.presence import Presence
from unet_core.segment.segmentation import Segmentation
from unet_core.settings import get_settings
from unet_core.zoo.kinds import KindsOutput
from unet_core.zoo.manifest import ModelEntry, ModelFile, WeightsError, load_manifest

RED, BLUE, GREEN = (255, 0, 0), (255, 0, 255), (0, 255, 0)  # a cat, a dog, background
SIDE, PLACES = 32, 8
CONFIG = pixel_config()
ENTRY = ModelEntry(
    config=CONFIG,
    preprocessing=CONFIG.preprocessing,
    classes=CLASS_NAMES,
    second_look=True,
    kinds=KindsOutput(names=("cat", "dog"), layers=("deep",), sure_from=0.9),
    files={"onnx": ModelFile(name="pixels.onnx", sha256="0" * 64, bytes=1)},
)


class Colours:
    """A network that takes red for pet and green for background, and a bluish place for a dog, else for a cat."""

    name, device, output_size = "onnx", "CPU", (SIDE, SIDE)

    def __init__(self) -> None:
        self.runs = 0

    def predict(self, batch: np.ndarray) -> np.ndarray:
        return self.predict_both(batch)[0]

    def predict_both(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.runs += 1
        logits = 20 * batch * np.float32([1, 1, 0])
        blue = batch[..., 2].reshape(len(batch), PLACES, SIDE // PLACES, PLACES, SIDE // PLACES).mean(axis=(2, 4))
        return logits, 3 * np.stack([1 - 2 * blue, 2 * blue - 1], axis=-1)


def photo_of(*animals: tuple[tuple[int, int, int], slice]) -> np.ndarray:
    photo = np.empty((120, 200, 3), np.uint8)
    photo[:] = GREEN
    for colour, columns in animals:
        photo[30:90, columns] = colour
    return photo


def heard(photo: np.ndarray, entry: ModelEntry = ENTRY) -> tuple[str | None, int]:
    """Return the kind that is named, and how often the network ran."""
    colours = Colours()
    network, listener = listening(TwoPasses(colours, background=1), entry)
    photo_probabilities(network, CONFIG, photo)
    assert listener is not None
    kind = listener.kind()
    return None if kind is None else kind.name, colours.runs


def test_only_what_the_mask_shows_counts():
    grass_is_like_a_cat = photo_of((BLUE, slice(60, 110)))
    assert heard(grass_is_like_a_cat) == ("dog", 2)
    assert heard(photo_of((RED, slice(60, 110)))) == ("cat", 2)


def test_a_cat_beside_a_dog_is_neither():
    assert heard(photo_of((RED, slice(20, 80)), (BLUE, slice(110, 170))))[0] is None


def test_the_network_runs_no_more_often_and_gives_the_same_probabilities():
    photo, plain, watched = photo_of((RED, slice(60, 110))), Colours(), Colours()
    network, _ = listening(TwoPasses(watched, background=1), ENTRY)
    expected = photo_probabilities(TwoPasses(plain, background=1), CONFIG, photo)
    np.testing.assert_array_equal(photo_probabilities(network, CONFIG, photo), expected)
    assert plain.runs == watched.runs


def test_a_model_without_a_second_output_says_nothing():
    network = Colours()
    assert listening(network, ENTRY.replace(kinds=None)) == (network, None)


def test_a_kind_is_named_from_its_limit_on():
    kinds = KindsOutput(names=("cat", "dog", "rabbit"), layers=("deep",), sure_from=0.8)
    logits = np.log([0.15, 0.8001, 0.0499])
    assert decided(logits, kinds) == ("dog", pytest.approx(0.8001, abs=1e-4))
    assert decided(np.log([0.15, 0.79, 0.06]), kinds) is None


def test_sentences():
    assert Presence(True, 0.98).sentence("animal") == "An animal was found (probability 98 %)."
    assert Presence(None).sentence("animal") == "Not sure there is an animal."
    assert Presence(True, 0.98, "cat", 0.97).sentence("pet") == "A cat was found (probability 97 %)."
    assert Presence(True, 0.98).sentence("pet") == "A pet was found (probability 98 %)."


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"names": ("cat",)}, "names"),
        ({"names": ("cat", "cat")}, "must differ"),
        ({"layers": ()}, "layers"),
        ({"sure_from": 0.4}, "sure_from"),
    ],
)
def test_an_entry_with_impossible_kinds_is_refused(changes: dict[str, object], problem: str):
    values = {"names": ("cat", "dog"), "layers": ("deep",), "sure_from": 0.9, **changes}
    with pytest.raises(ConfigError, match=problem):
        KindsOutput.from_dict(values)


def test_who_adds_a_pet_by_hand_keeps_its_kind():
    probabilities = np.full((20, 20, 3), (0.05, 0.9, 0.05), np.float32)
    probabilities[5:15, 5:15] = 0.9, 0.05, 0.05
    found = Segmentation(
        photo_size=(20, 20), pixel_classes=ENTRY.classes, shares=dict.fromkeys(ENTRY.class_names, 1 / 3), timings={},
        model="", engine="", device="",
        image=np.zeros((20, 20, 3), np.uint8), mask=probabilities.argmax(axis=-1).astype(np.uint8),
        probabilities=probabilities, presence=Presence(True, 0.9, "cat", 0.97),
    )  # fmt: skip
    larger, none = np.zeros((20, 20), np.int8), np.full((20, 20), -1, np.int8)
    larger[2:5, 5:15] = 1
    assert found.corrected(Correction(larger)).presence == Presence(True, None, "cat", 0.97)
    assert found.corrected(Correction(none)).presence == Presence(False)


def test_an_entry_whose_kinds_cannot_be_computed_is_refused():
    file = ModelFile(name="pixels.weights.h5", sha256="0" * 64, bytes=1)
    with pytest.raises(ConfigError, match="needs the file 'kinds'"):
        ENTRY.replace(files={**ENTRY.files, "weights": file})
    with pytest.raises(ConfigError, match="no other has it"):
        ENTRY.replace(files={**ENTRY.files, "kinds": file})
    with pytest.raises(ConfigError, match="padding 'same'"):
        ENTRY.replace(config=CONFIG.replace(padding="valid"))


def test_an_onnx_file_without_the_second_output_is_refused(tmp_path: Path):
    settings = install(tmp_path)
    entry = load_manifest(settings).entry().replace(kinds=ENTRY.kinds)
    with pytest.raises(WeightsError, match="tells 0 kinds apart, but its manifest entry names 2"):
        Segmenter("pixels", "onnx", settings, entry=entry)


# --- the shipped models ---------------------------------------------------------------------------------------------

NAMERS = sorted(name for name, entry in load_manifest(get_settings()).models.items() if entry.kinds is not None)


def test_the_default_model_names_kinds():
    assert load_manifest(get_settings()).default in NAMERS


@pytest.mark.parametrize("model", NAMERS)
@pytest.mark.parametrize("engine", ["onnx", pytest.param("keras", marks=pytest.mark.slow)])
def test_a_packed_model_still_names_the_kind(model: str, engine: Literal["onnx", "keras"]):
    packed = PackedModel.of(Segmenter(model, engine))
    assert packed.segmenter().segment(decode_image(samples.cat_png())).presence.kind == "cat"


@pytest.mark.parametrize("model", NAMERS)
@pytest.mark.parametrize(("name", "kind"), [("cat", "cat"), ("kitten", "cat"), ("dog", "dog")])
def test_sample_photos_are_named(model: str, name: str, kind: str):
    photo = decode_image(samples.SAMPLES[name].read())
    segmenter = Segmenter(model, "onnx")
    presence = segmenter.segment(photo).presence
    assert presence.kind == kind
    assert segmenter.entry.kinds is not None
    assert segmenter.entry.kinds.sure_from <= (presence.kind_probability or 0) <= 1
    assert f",{kind},{presence.kind_probability:.4f}," in statistics_csv([segmenter.segment(photo)])
    assert segment(segmenter, photo, InferenceMode("tiles")).presence.kind is None  # tiles show parts of an animal


@pytest.mark.slow
@pytest.mark.parametrize("model", NAMERS)
def test_both_engines_say_the_same(model: str):
    onnx, keras = (Segmenter(model, engine) for engine in ("onnx", "keras"))
    batch = np.random.default_rng(0).uniform(-1, 1, (2, *onnx.entry.config.input_shape)).astype(np.float32)
    for one, other in zip(run(single(onnx.network), batch), run(single(keras.network), batch), strict=True):
        assert one is not None
        np.testing.assert_allclose(one, other, atol=1e-3)
    photo = decode_image(samples.cat_png())
    first, second = (each.segment(photo).presence for each in (onnx, keras))
    assert first.kind == second.kind == "cat"
    assert first.kind_probability == pytest.approx(second.kind_probability, abs=1e-4)


@pytest.mark.dataset
@pytest.mark.parametrize("model", NAMERS)
def test_most_pets_of_the_validation_part_are_named_and_rightly(model: str, oxford_dir: Path):
    segmenter = Segmenter(model, "onnx")
    examples = list(OxfordPets(oxford_dir).examples("validation"))[::4]
    kinds = [segmenter.segment(example.decode()[0]).presence.kind for example in examples]
    named = [(kind, example.species.lower()) for kind, example in zip(kinds, examples, strict=True) if kind is not None]
    assert len(named) >= 0.85 * len(examples)
    assert sum(kind == truth for kind, truth in named) >= 0.97 * len(named)
