"""Live as a visitor sees it, with a camera that Chromium plays from a file: a cat that moves from side to side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser.conftest import ARGUMENTS, NARROW, WIDE
from tests.browser.test_accessibility import grave_findings
from tests.helpers.film import SIZE, film

pytestmark = pytest.mark.browser

FAKE_CAMERA = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"  # nobody is asked
FRAMES = 30
CANVAS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
  const opaque = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i + 3])
  return { width: canvas.width, height: canvas.height, clear: opaque.filter(a => a < 26).length / opaque.length,
           solid: opaque.filter(a => a > 229).length / opaque.length }
}"""


@pytest.fixture(scope="module")
def launch(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable]:
    """Start another Chromium with switches of its own."""
    opened = []
    path = film(tmp_path_factory.mktemp("camera") / "cat.mjpeg", FRAMES)

    def start(*switches: str):
        program = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else None
        arguments = [*ARGUMENTS, *switches, f"--use-file-for-fake-video-capture={path}"]
        opened.append(browser.browser_type.launch(executable_path=program, args=arguments))
        return opened[-1]

    yield start
    for other in opened:
        other.close()


@pytest.fixture(scope="module")
def filming(launch: Callable):
    return launch(FAKE_CAMERA, ALLOWED)


@pytest.fixture
def live(app: str) -> Iterator[Callable]:
    """Open Live on the Segment page in a browser and return page and component."""
    contexts = []

    def open_live(browser, *, size: tuple[int, int] = WIDE, theme: str = "light", script: str = ""):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        if script:
            page.add_init_script(script)
        page.goto(f"{app}/Segment")
        page.get_by_text("Camera", exact=True).click()
        camera = page.locator("section[aria-label='Live camera']")
        camera.wait_for()
        return page, camera

    yield open_live
    for context in contexts:
        context.close()


def running(page, camera) -> None:
    """Wait until a few pictures were drawn."""
    page.wait_for_function("root => Number(root.dataset.pictures) > 5", arg=camera.element_handle())


@pytest.mark.parametrize(("size", "theme"), [(WIDE, "light"), (NARROW, "dark")])
def test_the_cameras_cat_is_cut_out_while_it_moves(
    live: Callable, filming, size: tuple[int, int], theme: str, screenshots: Path | None
) -> None:
    page, camera = live(filming, size=size, theme=theme)
    running(page, camera)
    drawn = camera.locator("canvas").evaluate(CANVAS)
    assert (drawn["width"], drawn["height"]) == SIZE
    assert drawn["solid"] > 0.3
    assert drawn["clear"] > 0.005
    page.wait_for_function("root => root.querySelector('.figures').textContent", arg=camera.element_handle())
    assert "pictures a second" in camera.locator(".figures").inner_text()
    assert camera.bounding_box()["width"] <= size[0]
    page.mouse.move(1, 1)  # off the control, whose colour under the mouse is Streamlit's
    page.wait_for_timeout(500)
    assert not grave_findings(page)
    if screenshots:
        page.screenshot(path=screenshots / f"live-{size[0]}-{theme}.png")
    camera.get_by_role("button", name="Tint").click()
    page.wait_for_timeout(500)
    assert camera.locator("canvas").evaluate(CANVAS)["solid"] == 1


def test_the_sent_pictures_are_small(live: Callable, filming) -> None:
    watch = """const send = window.fetch
    window.sizes = []
    window.fetch = (address, options) => {
      if (String(address).endsWith("/api/live")) {
        createImageBitmap(options.body).then(picture => window.sizes.push([picture.width, picture.height]))
      }
      return send(address, options)
    }"""
    page, camera = live(filming, script=watch)
    running(page, camera)
    assert set(map(tuple, page.evaluate("() => window.sizes"))) == {(256, 192)}


def test_a_picture_is_used_at_the_cameras_full_size(live: Callable, filming) -> None:
    page, camera = live(filming)
    running(page, camera)
    camera.get_by_role("button", name="Use this picture").click()
    page.get_by_text(f"{SIZE[0]} × {SIZE[1]}").first.wait_for()
    camera.wait_for(state="detached")  # the camera is off, and its place is the result's
    assert not page.get_by_test_id("stAlert").count()


def test_it_stops_when_asked_and_starts_again(live: Callable, filming) -> None:
    page, camera = live(filming)
    running(page, camera)
    camera.get_by_role("button", name="Stop").click()
    assert camera.get_attribute("data-state") == "stopped"
    count = camera.get_attribute("data-pictures")
    page.wait_for_timeout(700)
    assert camera.get_attribute("data-pictures") == count
    camera.get_by_role("button", name="Start").click()
    page.wait_for_function(
        "([root, count]) => Number(root.dataset.pictures) > Number(count)", arg=[camera.element_handle(), count]
    )


def test_it_stops_by_itself_when_the_page_is_hidden(live: Callable, filming) -> None:
    page, camera = live(filming)
    running(page, camera)
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: true });"
        " document.dispatchEvent(new Event('visibilitychange')) }"
    )
    assert camera.get_attribute("data-state") == "stopped"
    assert "hidden" in camera.locator(".message").inner_text()


def test_no_camera_is_said(live: Callable, browser) -> None:
    _, camera = live(browser)
    camera.get_by_text("No camera was found").wait_for()
    assert camera.get_by_role("button", name="Start").is_visible()


def test_a_blocked_camera_is_said(live: Callable, launch: Callable) -> None:
    refuse = "() => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    _, camera = live(launch(FAKE_CAMERA), script=f"navigator.mediaDevices.getUserMedia = {refuse}")
    camera.get_by_text("allow it in the browser").wait_for()


def test_a_page_without_tls_is_said(live: Callable, browser) -> None:
    _, camera = live(browser, script="Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    camera.get_by_text("HTTPS").wait_for()


@pytest.mark.parametrize(
    ("status", "kind", "phrase"),
    [(401, "application/problem+json", "lost its connection"), (405, "text/plain", "streamlit run streamlit_app.py")],
)
def test_a_server_that_takes_no_pictures_is_said(live: Callable, filming, status: int, kind: str, phrase: str) -> None:
    page, camera = live(filming)
    page.route("**/api/live", lambda route: route.fulfill(status=status, content_type=kind, body="{}"))
    camera.get_by_text(phrase).wait_for()
    assert camera.get_attribute("data-state") == "stopped"


def test_a_tab_that_is_closed_sends_nothing_more(live: Callable, filming) -> None:
    page, camera = live(filming)
    running(page, camera)
    requests = []
    page.context.on("request", lambda request: requests.append(request.url))
    page.get_by_role("link", name="Home").first.click()
    camera.wait_for(state="detached")
    page.wait_for_timeout(500)
    requests.clear()
    page.wait_for_timeout(700)
    assert not [url for url in requests if "/api/live" in url]


def test_the_picture_is_mirrored_like_a_mirror(live: Callable, filming) -> None:
    page, camera = live(filming)
    running(page, camera)
    style = camera.locator("canvas").evaluate("canvas => getComputedStyle(canvas).transform")
    assert np.sign(float(style.removeprefix("matrix(").split(",")[0])) == -1
