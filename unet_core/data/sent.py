"""Examples for other machines, which read the files themselves and check that they are those of this machine.

What is sent is small: names, paths and a hash of each photo with its mask. So data that differ, such as an older copy,
are refused before they are mixed with others.
"""

from __future__ import annotations

import hashlib
import itertools
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from unet_core.data.own.folder import FolderExample, ImageFolder
from unet_core.data.own.mask_files import read_bytes
from unet_core.data.oxford.oxford_pets import DatasetMissing, OxfordPets, PetExample
from unet_core.data.sources import Example, Source, SplitName
from unet_core.data.splits import SplitConfig
from unet_core.data.synthetic.pets import SyntheticExample
from unet_core.jobs.cluster import ClusterError
from unet_core.settings import Settings, get_settings

_LIMITS = {"max_upload_mb", "max_megapixels"}  # for reading photos; the other settings may be secret


@dataclass(frozen=True)
class SentExamples:
    """Consecutive examples of a split.

    Attributes:
        start: the number of the first one in the split.
        examples: what reads them.
        hashes: of each, see `content_hash`.
        place: where they are stored, in words.
    """

    start: int
    examples: Iterable[Example]
    hashes: tuple[str, ...]
    place: str

    def __len__(self) -> int:
        return len(self.hashes)

    def checked(self) -> Iterator[Example]:
        """Yield the examples as they are on this machine.

        Raises:
            ClusterError: one is not there or differs from the sender's.
        """
        found = iter(self.examples)
        for number, wanted in enumerate(self.hashes, self.start + 1):
            try:
                example = next(found, None)
                same = example is not None and content_hash(example) == wanted
            except DatasetMissing as error:
                raise ClusterError(f"{_worker()} lacks the dataset. {error}") from None
            except OSError as error:
                raise ClusterError(
                    f"{_worker()} cannot read {self.place} ({error.filename}: {error.strerror or error}): all machines "
                    "need it under the same path, so share the folder or copy it there."
                ) from None
            if example is None or not same:
                difference = "is missing" if example is None else f"{example.name} differs"
                raise ClusterError(
                    f"{_worker()} has other data in {self.place} than this command (photo {number} {difference}): give "
                    "all machines the same files."
                )
            yield example


def _worker() -> str:
    return f"The worker on {socket.gethostname()}"


@dataclass(frozen=True)
class _OxfordRange:
    """Consecutive Oxford pets, which each machine reads from its own `UNET_DATA_DIR`."""

    split: SplitConfig
    part: SplitName
    start: int
    stop: int

    def __iter__(self) -> Iterator[PetExample]:
        pets = OxfordPets(get_settings().data_dir, self.split)
        yield from itertools.islice(pets.examples(self.part), self.start, self.stop)


def sent_examples(source: Source, part: SplitName, total: int, size: int) -> Iterator[SentExamples]:
    """Yield the first `total` examples of a split, `size` at a time; reads each file once, for its hash.

    Args:
        source: a dataset that is not a mixture.
        part: the split.
        total: how many examples.
        size: of all but the last.
    """
    examples = itertools.islice(source.examples(part), total)
    for start in itertools.count(0, size):
        group = tuple(itertools.islice(examples, size))
        if not group:
            return
        hashes = tuple(map(content_hash, group))
        yield SentExamples(start, _readable(source, part, start, group), hashes, _place(source))


def _readable(source: Source, part: SplitName, start: int, group: tuple[Example, ...]) -> Iterable[Example]:
    """Return what reads these examples on any machine, without the photos themselves."""
    if isinstance(source, OxfordPets):
        return _OxfordRange(source.split, part, start, start + len(group))
    if isinstance(source, ImageFolder):
        limits = Settings(**source.settings.model_dump(include=_LIMITS))
        return tuple(replace(example, settings=limits) for example in group if isinstance(example, FolderExample))
    return group


def _place(source: Source) -> str:
    if isinstance(source, ImageFolder):
        return f"the folder {source.path}"
    return "UNET_DATA_DIR" if isinstance(source, OxfordPets) else source.description


def content_hash(example: Example) -> str:
    """Return a hash of an example's name, photo and mask: of their files where there are any, else of the pixels.

    Raises:
        OSError: a file cannot be read.
    """
    digest = hashlib.sha256(example.name.encode())
    for content in _contents(example):
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()


def _contents(example: Example) -> Iterable[bytes]:
    if isinstance(example, PetExample):
        return example.photo, example.trimap
    if isinstance(example, FolderExample):  # masks without a file are sent with the example
        return (read_bytes(path, example.settings) for path in example.files)
    if isinstance(example, SyntheticExample):  # drawn by code that is the same on all machines of a cluster
        return (repr(example).encode(),)
    photo, ids = example.decode()
    return photo.tobytes(), ids.tobytes()
