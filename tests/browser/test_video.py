"""A video as a visitor brings it: its pictures are taken in the browser, and cut out one after the other."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import NARROW
from tests.browser.test_in_the_browser import full_height, settled
from tests.browser.test_segment_page import taken
from unet_core.images.samples import cat_png

pytestmark = pytest.mark.browser

# Records the photo, which moves to and fro, as WebM; browsers write no length into it.
RECORD = """async ({ photo, milliseconds }) => {
  const image = new Image()
  image.src = photo
  await image.decode()
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 212 })
  const pen = canvas.getContext("2d")
  const recorder = new MediaRecorder(canvas.captureStream(25), { mimeType: "video/webm" })
  const parts = []
  recorder.ondataavailable = ({ data }) => parts.push(data)
  const ended = new Promise(resolve => (recorder.onstop = resolve))
  const began = performance.now()
  recorder.start()
  while (performance.now() - began < milliseconds) {
    pen.drawImage(image, 20 * Math.sin((performance.now() - began) / 300), 0, canvas.width, canvas.height)
    await new Promise(resolve => setTimeout(resolve, 40))
  }
  recorder.stop()
  await ended
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer())
  return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""))
}"""


@pytest.fixture
def clip(browser, tmp_path: Path) -> Path:
    """A second of a cat that moves, as WebM."""
    page = browser.new_page()
    photo = "data:image/png;base64," + base64.b64encode(cat_png()).decode()
    path = tmp_path / "cat.webm"
    path.write_bytes(base64.b64decode(page.evaluate(RECORD, {"photo": photo, "milliseconds": 1200})))
    page.close()
    return path


def test_a_video_becomes_an_animation_without_its_background(visit, clip: Path, screenshots: Path | None) -> None:
    page = visit("Segment")
    page.get_by_text("Video", exact=True).click()
    source = page.locator("section[aria-label='Video']")
    source.wait_for()
    if screenshots:
        full_height(page, screenshots / "segment-video.png")
        page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        full_height(page, screenshots / "segment-video-narrow.png")
        page.set_viewport_size({"width": 1440, "height": 900})
    source.locator("input").set_input_files(str(clip))
    page.get_by_text("An animation of").wait_for()
    page.get_by_role("button", name="Cut out all frames").click()
    page.get_by_role("button", name="Animated WebP").wait_for(timeout=120_000)
    settled(page)
    address = page.get_by_alt_text("every frame cut out").evaluate("image => image.src")
    assert Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).n_frames > 5
    if screenshots:
        full_height(page, screenshots / "segment-video-cut-out.png")
    label = page.get_by_role("button", name="Animated WebP").inner_text().split("\n")[-1]
    name, data = taken(page, label)
    assert name == "cat_cutout.webp"
    found = Image.open(io.BytesIO(data))
    assert found.n_frames > 5
    levels = found.convert("RGBA").getchannel("A").getextrema()
    assert levels == (0, 255)


def test_a_file_that_is_no_video_says_what_to_do(visit, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video at all")
    page = visit("Segment")
    page.get_by_text("Video", exact=True).click()
    source = page.locator("section[aria-label='Video']")
    source.locator("input").set_input_files(str(broken))
    source.get_by_text("This browser cannot play this video").wait_for()
