"""From somebody's own photos to a model that leaves: upload, report, train, segment, download, use without the app."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from tests.browser.conftest import NARROW
from tests.browser.test_data_page import READ_PATIENCE, bring
from tests.browser.test_in_the_browser import full_height, settled
from tests.browser.test_train_page import LEARN_PATIENCE
from tests.helpers import own_datasets
from unet_core.settings import ROOT

pytestmark = pytest.mark.browser


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """A ZIP of photos with masks of two classes, 0 and 255, and beside it a photo of the same kind."""
    own_datasets.black_and_white(tmp_path / "leaves", 24)
    own_datasets.save_photo(tmp_path / "unseen.png", own_datasets.class_map(99), 99)
    path = tmp_path / "leaves.zip"
    path.write_bytes(own_datasets.zipped(tmp_path / "leaves"))
    return path


def downloaded(page, button: str, path: Path) -> Path:
    with page.expect_download(timeout=READ_PATIENCE) as download:
        page.get_by_role("button", name=button, exact=True).click()
    download.value.save_as(path)
    return path


def without_the_app(model: Path, photo: Path, folder: Path) -> np.ndarray:
    """Segment a photo with ONNX Runtime alone, as the file's own metadata say."""
    about = onnxruntime.InferenceSession(model).get_modelmeta().custom_metadata_map
    described = {key: json.loads(about[key]) for key in ("codes", "preprocessing")}
    described |= {"names": json.loads(about["classes"]), "activation": about["activation"]}
    (folder / "classes.json").write_text(json.dumps(described))
    (folder / "segment.py").write_bytes((ROOT / "unet_core" / "zoo" / "standalone.py").read_bytes())
    command = [sys.executable, "-P", "segment.py", model.name, str(photo), "mask.png"]
    subprocess.run(command, cwd=folder, check=True, timeout=120)
    return np.asarray(Image.open(folder / "mask.png"))


def test_own_data_become_a_model_in_its_own_terms_that_leaves_the_app(visit, leaves: Path, screenshots) -> None:
    page = visit("Data?section=Bring+your+own")
    bring(page, leaves)
    page.get_by_text("How the masks were read").wait_for(timeout=READ_PATIENCE)
    page.get_by_label("Name of 255", exact=True).fill("leaf")
    page.get_by_role("button", name="Save names").click()
    page.get_by_role("listitem").filter(has_text="leaf").first.wait_for()
    assert page.locator("img").count() >= 1, "photos with their masks over them"
    page.get_by_role("button", name="Start a short run").click()
    page.get_by_text("Finished, epoch").wait_for(timeout=LEARN_PATIENCE)

    page.get_by_role("link", name="Curves, predictions and model on the Train page").click()
    use = page.get_by_role("button", name="Use in Segment")
    use.wait_for(timeout=READ_PATIENCE)
    folder = leaves.parent / "taken"
    folder.mkdir()
    model = downloaded(page, ".onnx", folder / "model.onnx")
    use.click()
    page.wait_for_url("**/Segment?*model=*")
    page.get_by_text("your model").wait_for()
    photo = leaves.parent / "unseen.png"
    page.locator(".st-key-drop input[type=file]").set_input_files(str(photo))
    page.get_by_role("listitem").filter(has_text="leaf").first.wait_for(timeout=READ_PATIENCE)
    assert "pet" not in page.get_by_role("list").all_inner_texts()
    if screenshots:
        full_height(page, screenshots / "segment-own-model.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        full_height(page, screenshots / "segment-own-model-narrow.png")
    page.get_by_role("radio", name="Download").click()
    page.get_by_text("8-bit PNG with 0 background, 255 leaf").wait_for()
    mask = np.asarray(Image.open(downloaded(page, "Mask in codes", folder / "app.png")))
    settled(page)
    assert page.get_by_test_id("stException").count() == 0
    assert set(np.unique(mask)) <= {0, 255}
    assert np.array_equal(without_the_app(model, photo, folder), mask)
