"""Photos of a dataset counted in parts, on the machines of a cluster: the sum is what one machine counts.

A part whose worker is lost is counted again elsewhere, and each part is added once. The parts that are done are kept
until all are, so that a call which is interrupted can be continued.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from unet_core.data.sent import SentExamples, sent_examples
from unet_core.data.sources import Source, SplitName
from unet_core.jobs import storage
from unet_core.jobs.cluster import Cluster, Shared, part_size, program_hash, run_all
from unet_core.scoring.evaluate import Comparison, Counts, counted
from unet_core.segment.batch import PackedModel

log = logging.getLogger(__name__)


@dataclass
class OnCluster:
    """Where an evaluation is computed if not in this process.

    Attributes:
        cluster: the model is sent to each of its workers once; they read the photos themselves.
        kept: the folder of the parts that are done, until all are; None keeps nothing for another call.
        counted: how many photos this call has counted so far.
        earlier: how many earlier calls had counted.
    """

    cluster: Cluster
    kept: Path | None = None
    counted: int = 0
    earlier: int = 0


@dataclass(frozen=True)
class Work:
    """What is done with each photo: the model that predicts it, and how its mask is compared."""

    model: PackedModel
    comparison: Comparison


def counted_on_cluster(
    where: OnCluster,
    work: Work,
    source: Source,
    part: SplitName,
    total: int,
    progress: Callable[[int], None] | None = None,
) -> Counts:
    """Count the first `total` photos of a split wherever a cluster computes, as `counted` does in one process.

    Args:
        where: the cluster, and what earlier calls have done.
        work: what is done with each photo.
        source: the dataset.
        part: the split.
        total: how many photos.
        progress: called with the number of photos done.

    Raises:
        ClusterError: the cluster is lost, or a worker does not have the same data.
        UNetError: a photo or mask cannot be used.
    """
    kept = _KeptParts.of(where, work, f"{source.description}, {total} of {part}")
    size = kept.size(part_size(where.cluster, total))
    found: dict[int, Counts] = {}
    keys: dict[int, str] = {}
    shared = where.cluster.share(work)

    def missing() -> Iterator[tuple[Shared, SentExamples]]:
        for sent in sent_examples(source, part, total, size):
            keys[sent.start] = kept.key(sent)
            counts = kept.read(keys[sent.start])
            if counts is None:
                yield shared, sent
            else:
                found[sent.start] = counts
                where.earlier += counts.images

    for task in run_all(where.cluster, count_part, missing()):
        start, counts = task.result()
        found[start] = counts
        kept.write(keys[start], counts)
        where.counted += counts.images
        if progress is not None:
            progress(where.earlier + where.counted)
    kept.remove()
    together = work.comparison.nothing_yet()
    for start in sorted(found):  # the mean over photos depends on their order in its last bits
        together.append(found[start])
    return together


def count_part(work: Work, sent: SentExamples) -> tuple[int, Counts]:
    """Count a part on this worker; returns the number of its first photo too."""
    network = work.model.segmenter().network
    return sent.start, counted(network, work.comparison, sent.checked())


@dataclass(frozen=True)
class _KeptParts:
    """The parts of one evaluation that are done; without a folder, none are kept."""

    folder: Path | None
    work: str  # a hash of what decides the counts of a part with given files
    comparison: Comparison

    @classmethod
    def of(cls, where: OnCluster, work: Work, photos: str) -> _KeptParts:
        """Return those of a model, a comparison and the photos, as words."""
        decides = _hash(program_hash(), work.model.key, repr(work.comparison))
        return cls(where.kept and where.kept / _hash(decides, photos), decides, work.comparison)

    def key(self, sent: SentExamples) -> str:
        """Return the name of a part: another one if any of its photos or masks has changed."""
        return _hash(self.work, *sent.hashes)

    def size(self, wanted: int) -> int:
        """Return how many photos a part has: as many as earlier, when the cluster may have had another size."""
        if self.folder is None:
            return wanted
        try:
            return max(1, int((self.folder / "size").read_text()))
        except (OSError, ValueError):
            self._write("size", str(wanted).encode())
            return wanted

    def read(self, key: str) -> Counts | None:
        """Return what an earlier call has counted; None if it has not, or the file is damaged."""
        if self.folder is None:
            return None
        try:
            return self.comparison.from_json((self.folder / f"{key}.json").read_bytes())
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, counts: Counts) -> None:
        """Keep a part."""
        self._write(f"{key}.json", counts.to_json())

    def _write(self, name: str, content: bytes) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            storage.write(str(self.folder / name), content)
        except (OSError, storage.StorageError) as error:
            log.warning("%s cannot be written, so an interrupted call would not be continued: %s", self.folder, error)

    def remove(self) -> None:
        """Forget all parts: the evaluation is complete."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _hash(*values: str) -> str:
    return hashlib.sha256("\n".join(values).encode()).hexdigest()[:32]
