"""Photos of a dataset counted in parts, on the machines of a cluster: the sum is what one machine counts.

A part whose worker is lost is counted again elsewhere, and each part is added once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unet_core.data.sent import SentExamples, sent_examples
from unet_core.data.sources import Source, SplitName
from unet_core.jobs.cluster import Cluster, part_size, run_all
from unet_core.scoring.evaluate import Comparison, Counts, counted
from unet_core.segment.batch import PackedModel


@dataclass(frozen=True)
class Work:
    """What is done with each photo: the model that predicts it, and how its mask is compared."""

    model: PackedModel
    comparison: Comparison


def counted_on_cluster(
    cluster: Cluster,
    work: Work,
    source: Source,
    part: SplitName,
    total: int,
    progress: Callable[[int], None] | None = None,
) -> Counts:
    """Count the first `total` photos of a split wherever the cluster computes, as `counted` does in one process.

    Args:
        cluster: the model is sent to each of its workers once; they read the photos themselves.
        work: what is done with each photo.
        source: the dataset.
        part: the split.
        total: how many photos.
        progress: called with the number of photos done.

    Raises:
        ClusterError: the cluster is lost, or a worker does not have the same data.
        UNetError: a photo or mask cannot be used.
    """
    shared = cluster.share(work)
    sent = sent_examples(source, part, total, part_size(cluster, total))
    found: dict[int, Counts] = {}
    done = 0
    for task in run_all(cluster, count_part, ((shared, examples) for examples in sent)):
        start, counts = task.result()
        found[start] = counts
        done += counts.images
        if progress is not None:
            progress(done)
    together = work.comparison.nothing_yet()
    for start in sorted(found):  # the mean over photos depends on their order in its last bits
        together.append(found[start])
    return together


def count_part(work: Work, sent: SentExamples) -> tuple[int, Counts]:
    """Count a part on this worker; returns the number of its first photo too."""
    network = work.model.segmenter().network
    return sent.start, counted(network, work.comparison, sent.checked())
