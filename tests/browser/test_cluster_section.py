"""A folder on the cluster: a visitor starts it, watches, stops and continues, and learns where the files are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import NARROW, serve_app
from tests.browser.test_in_the_browser import choose, darken, full_height
from tests.helpers.dask_cluster import DaskProcesses
from tests.helpers.processes import wait_until
from unet_core.images.samples import cat_png

pytest.importorskip("distributed")
pytestmark = pytest.mark.browser

PHOTOS = 3


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, and one file that is none."""
    storage = tmp_path_factory.mktemp("storage") / "photos"
    cats = storage / "cats"
    cats.mkdir(parents=True)
    for number in range(PHOTOS):
        (cats / f"{number}.png").write_bytes(cat_png())
    (cats / "broken.jpg").write_bytes(b"no photo")
    return storage


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with DaskProcesses(tmp_path_factory.mktemp("dask")) as processes:
        yield processes


@pytest.fixture(scope="module")
def app(browser: object, dask: DaskProcesses, storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an app whose visitors may use the cluster."""
    own = tmp_path_factory.mktemp("cluster-app")
    folders = {name: own / name for name in ("cache", "data", "datasets", "runs")}
    variables = {"UNET_CLUSTER": dask.address, "UNET_CLUSTER_PHOTOS": str(storage)}
    yield from serve_app(folders, own, variables)


def test_a_folder_is_segmented_by_the_clusters_workers(
    visit, dask: DaskProcesses, storage: Path, screenshots: Path | None
) -> None:
    page = visit("Segment")
    page.locator("summary", has_text="A folder on the cluster").click()
    page.get_by_text("No photos in this folder.").wait_for()  # the shared folder itself, which has them in a folder
    choose(page, "Folder", "cats")
    page.get_by_text(f"{PHOTOS + 1} photos in this folder.").wait_for()
    if screenshots:
        full_height(page, screenshots / "segment-cluster.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        full_height(page, screenshots / "segment-cluster-narrow.png")
        page.set_viewport_size({"width": 1440, "height": 900})
    page.get_by_role("button", name="Start on the cluster").click()
    page.get_by_text("the cluster has no worker now").wait_for()

    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped at 0 of 4 photos.").wait_for()
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("the cluster has no worker now").wait_for()
    page.reload()  # a visitor who comes back finds the job
    page.get_by_text("the cluster has no worker now").wait_for()

    dask.start_worker()
    page.get_by_text(f"{PHOTOS} photos segmented.").wait_for(timeout=60_000)
    page.get_by_text("1 photo could not be segmented.").wait_for()
    page.get_by_role("button", name="Which ones").click()
    page.get_by_text("broken.jpg is not a photo").wait_for()
    results = storage.parent / "photos-results" / "cats"
    wait_until(lambda: len(list(results.rglob("*_mask.png"))) == PHOTOS, "the masks")
    if screenshots:
        full_height(page, screenshots / "segment-cluster-done.png")
        darken(page)
        full_height(page, screenshots / "segment-cluster-done-dark.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        full_height(page, screenshots / "segment-cluster-done-narrow-dark.png")
