"""The Oxford-IIIT Pet dataset, read with TensorFlow Datasets (TFDS), the only loader.

Parkhi, Vedaldi, Zisserman and Jawahar, "Cats and Dogs", CVPR 2012. `status` imports neither TensorFlow nor TFDS.
"""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unet_core.data.oxford.near_duplicates import NEAR_DUPLICATES_IN_TRAIN
from unet_core.data.sources import DataError, SplitName, TrimapSource, stable_fraction, trimap_to_ids
from unet_core.data.splits import DEFAULT_SPLIT, SplitConfig, SplitScheme

NAME = "oxford_iiit_pet"
VERSION = "4.0.0"
CREDIT = "O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar: Cats and Dogs, CVPR 2012 (Oxford-IIIT Pet dataset)"
DOWNLOAD_COMMAND = "python -m unet_core download"
DOWNLOAD_MEGABYTES = 800
SERVER = "https://thor.robots.ox.ac.uk/~vgg/data/pets/"  # where TFDS fetches the dataset
OFFICIAL_SPLITS = ("train", "test")

# The tutorial's slices of train + test, in TFDS's notation.
PERCENTAGE_SLICES: dict[SplitName, str] = {
    "train": "train[:80%]+test[:80%]",
    "validation": "train[80%:90%]+test[80%:90%]",
    "test": "train[90%:]+test[90%:]",
}


class DatasetMissing(DataError):
    """The dataset is not in its folder; the text names the folder and the command that downloads it."""


class DownloadFailed(DataError):
    """The dataset could not be downloaded; the text says why and what to do."""


@dataclass(frozen=True)
class DatasetStatus:
    """The state of the data folder: `problem` is None if the dataset can be used, else a sentence."""

    folder: Path
    present: bool
    version: str | None = None
    splits: dict[str, int] = field(default_factory=dict)  # examples per official split
    bytes: int = 0
    problem: str | None = None


@dataclass(frozen=True)
class PetExample:
    """One photo and its trimap as stored, with the animal's breed and species."""

    name: str  # the photo's file name
    photo: bytes  # JPEG
    trimap: bytes  # PNG with codes 1, 2, 3
    label: int  # breed, 0…36
    breed: str
    species: str  # "Cat" or "Dog", as TFDS spells them

    def decode(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the photo, (H, W, 3) uint8, and its class ids, (H, W) uint8.

        Raises:
            LabelError: the trimap has other values than 1, 2, 3.
        """
        photo = np.asarray(Image.open(io.BytesIO(self.photo)).convert("RGB"))
        trimap = np.asarray(Image.open(io.BytesIO(self.trimap)))
        return photo, trimap_to_ids(trimap, self.name)


def status(data_dir: str | Path) -> DatasetStatus:
    """Return the state of the dataset's folder; does not import TensorFlow and never raises."""
    root = Path(data_dir) / NAME
    folder = root / VERSION
    info_file = folder / "dataset_info.json"
    if not info_file.is_file():
        others = sorted(path.parent.name for path in root.glob("*/dataset_info.json"))
        found = f" (found version {', '.join(others)} there)" if others else ""
        problem = (
            f"The Oxford-IIIT Pet dataset {VERSION} is not in {data_dir}{found}. Download it with: {DOWNLOAD_COMMAND} "
            f"(about {DOWNLOAD_MEGABYTES} MB), or set UNET_DATA_DIR to the folder that holds {NAME}/."
        )
        return DatasetStatus(folder, present=False, problem=problem)
    try:
        info = json.loads(info_file.read_text(encoding="utf-8"))
        shards = {split["name"]: [int(length) for length in split["shardLengths"]] for split in info["splits"]}
        size = sum(int(split["numBytes"]) for split in info["splits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{info_file} cannot be read ({error}). Delete {folder} and run: {DOWNLOAD_COMMAND}"
        return DatasetStatus(folder, present=False, problem=problem)
    splits = {name: sum(lengths) for name, lengths in shards.items()}
    problem = _missing_files(folder, shards)
    return DatasetStatus(folder, problem is None, str(info.get("version", VERSION)), splits, size, problem)


def _missing_files(folder: Path, shards: dict[str, list[int]]) -> str | None:
    expected = [
        f"{NAME}-{split}.tfrecord-{index:05d}-of-{len(shards.get(split, [])):05d}"
        for split in OFFICIAL_SPLITS
        for index in range(max(1, len(shards.get(split, []))))
    ]
    missing = [name for name in expected if not (folder / name).is_file()]
    if not missing:
        return None
    return f"{folder} lacks {missing[0]} ({len(missing)} missing). Delete the folder and run: {DOWNLOAD_COMMAND}"


def download(
    data_dir: str | Path,
    progress: Callable[[str], None] | None = None,
    *,
    archives: Path | None = None,
    counted: Callable[[int], None] | None = None,
) -> DatasetStatus:
    """Download and prepare the dataset with TFDS; existing files are not downloaded again.

    Args:
        data_dir: TFDS's data folder, created if it is missing.
        progress: called with a sentence at every step; TFDS then also shows its progress bars on stderr.
        archives: folder with the downloaded archives; TFDS checks and unpacks them there.
        counted: called with the number of photos prepared so far.

    Raises:
        DownloadFailed: no network, no disk space, or an unusable response from the server.
    """
    found = status(data_dir)
    if found.present:
        _say(progress, f"The dataset is already in {found.folder}.")
        return found
    import requests
    import tensorflow_datasets as tfds

    (tfds.enable_progress_bar if progress else tfds.disable_progress_bar)()
    try:
        Path(data_dir).mkdir(parents=True, exist_ok=True)
        if archives is None:
            requests.head(SERVER, timeout=20)  # without a network TFDS would retry for minutes before failing
            _say(progress, f"Downloading about {DOWNLOAD_MEGABYTES} MB to {data_dir} …")
        builder = tfds.builder(f"{NAME}:{VERSION}", data_dir=str(data_dir))
        if counted is not None:
            builder._generate_examples = _counting(builder._generate_examples, counted)  # the only hook of a builder
        builder.download_and_prepare(download_config=_download_config(archives))
    except Exception as error:  # TFDS passes on anything that its HTTP client, extractors and the disk raise
        raise DownloadFailed(download_problem(error, data_dir)) from error
    found = status(data_dir)
    if not found.present:
        raise DownloadFailed(found.problem or "TFDS reported success, but the dataset is missing: try again.")
    _say(progress, f"Ready: {sum(found.splits.values())} photos in {found.folder}.")
    return found


def _download_config(archives: Path | None) -> Any:
    import tensorflow_datasets as tfds

    if archives is None:
        return None
    # Skip Google's copy: where it cannot be reached, TFDS waits for it for a long time.
    return tfds.download.DownloadConfig(
        manual_dir=str(archives), extract_dir=str(archives / "unpacked"), try_download_gcs=False
    )


def _counting(generate: Callable[..., Iterator[Any]], counted: Callable[[int], None]) -> Callable[..., Iterator[Any]]:
    numbers = itertools.count(1)

    def counting(*args: Any, **options: Any) -> Iterator[Any]:
        for example in generate(*args, **options):
            counted(next(numbers))
            yield example

    return counting


def download_problem(error: BaseException, data_dir: str | Path) -> str:
    """Return one sentence on why a download failed and how to fix it."""
    import errno

    import requests

    causes = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
        return f"The disk that holds {data_dir} is full: free about {2 * DOWNLOAD_MEGABYTES} MB and try again."
    if any(isinstance(cause, PermissionError) for cause in causes):
        return f"No permission to write to {data_dir}: set UNET_DATA_DIR to a folder that you may write to."
    if any(isinstance(cause, (requests.ConnectionError, requests.Timeout)) for cause in causes):
        return (
            "The dataset's server cannot be reached: check the network connection and try again, or copy a prepared "
            f"{NAME}/{VERSION} folder into {data_dir}."
        )
    first_line = str(error).strip().splitlines()[:1]
    return f"The download failed ({type(error).__name__}: {' '.join(first_line)}). Try again: finished files are kept."


def _say(progress: Callable[[str], None] | None, sentence: str) -> None:
    if progress is not None:
        progress(sentence)


def part_slices(part: SplitName, scheme: SplitScheme) -> str:
    """Return TFDS's name of the slices that contain `part`; "official" train and validation share the train split."""
    if scheme == "percentage":
        return PERCENTAGE_SLICES[part]
    return "test" if part == "test" else "train"


def in_part(name: str, part: SplitName, split: SplitConfig) -> bool:
    """Return whether a photo found in `part_slices` belongs to `part`.

    A stable hash of the file name decides between train and validation, so the choice depends neither on the order of
    examples nor on missing ones.
    """
    if split.split_scheme == "percentage" or part == "test":
        return True
    if split.drop_near_duplicates and name in NEAR_DUPLICATES_IN_TRAIN:
        return False
    return (stable_fraction(name) < split.validation_fraction) == (part == "validation")


@dataclass(frozen=True)
class OxfordPets(TrimapSource):
    """The dataset as a source of examples.

    `split_scheme` "official" holds out `validation_fraction` of the official train split; test is the official one.
    "percentage" slices train + test 80/10/10 as a well-known tutorial does: near-duplicates then cross the splits, so
    test scores are too high.

    Raises:
        DatasetMissing: the dataset is not in `data_dir`.
    """

    data_dir: Path
    split: SplitConfig = DEFAULT_SPLIT

    def __post_init__(self) -> None:
        found = status(self.data_dir)
        if not found.present:
            raise DatasetMissing(found.problem)

    @property
    def description(self) -> str:
        """One line on the data and the split."""
        return f"Oxford-IIIT Pet {VERSION}, {self.split.split_scheme} split"

    @cached_property
    def _builder(self) -> Any:
        import tensorflow_datasets as tfds

        return tfds.builder(f"{NAME}:{VERSION}", data_dir=str(self.data_dir))

    def names(self, part: SplitName) -> tuple[str, ...]:
        """Return the photos' file names, in the order of `examples`."""
        import tensorflow_datasets as tfds

        records = self._records(part, tfds.decode.PartialDecoding({"file_name": True}))
        return tuple(name for record in records if in_part(name := record["file_name"].decode(), part, self.split))

    def examples(self, part: SplitName) -> Iterator[PetExample]:
        """Yield the split's examples, still encoded, in the order of TFDS."""
        import tensorflow_datasets as tfds

        skip = tfds.decode.SkipDecoding()
        breeds = self._builder.info.features["label"].names
        kinds = self._builder.info.features["species"].names
        for record in self._records(part, {"image": skip, "segmentation_mask": skip}):
            name = record["file_name"].decode()
            if in_part(name, part, self.split):
                label = int(record["label"])
                yield PetExample(
                    name=name,
                    photo=record["image"],
                    trimap=record["segmentation_mask"],
                    label=label,
                    breed=breeds[label],
                    species=kinds[int(record["species"])],
                )

    def _records(self, part: SplitName, decoders: Any) -> Iterator[dict[str, Any]]:
        import tensorflow_datasets as tfds

        dataset = tfds.load(
            f"{NAME}:{VERSION}",
            split=part_slices(part, self.split.split_scheme),
            data_dir=str(self.data_dir),
            download=False,
            shuffle_files=False,
            decoders=decoders,
            read_config=tfds.ReadConfig(try_autocache=False),
        )
        return dataset.as_numpy_iterator()
