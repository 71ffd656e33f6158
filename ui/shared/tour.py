"""The guided tour: a bar over the pages that says what to look at; each step is a link, and any page leaves it.

Presenters go on and back with Page Down and Page Up, which their remote controls send; newcomers click.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import streamlit as st

from ui.shared import url
from ui.shared.url import Option

STEP = Option("tour")  # a tour's name and the number of its step: "show.3"
KEY = "tour-bar"


@dataclass(frozen=True)
class Step:
    """One step: the page and address that it shows, and what to look at there."""

    page: str
    title: str
    text: str
    query: Mapping[str, str] = field(default_factory=dict)


SHOW = (
    Step(
        "Home",
        "What it does",
        "A photo goes in, and every pixel gets a class: pet or background. The example was computed on this machine "
        "just now, by a network of this project.",
    ),
    Step(
        "Architecture",
        "Why it is called a U-Net",
        "Read it as a U. On the left the picture gets smaller and the network finds out *what* is there; on the "
        "right it grows again to say *where*. Numbers on the boxes are channels, those beside them pixels.",
        {"preset": "ronneberger2015"},
    ),
    Step(
        "Architecture",
        "The skip connection",
        "The arrow across carries the fine picture from left to right, past the bottleneck. The layer that joins the"
        " two is selected; the panel explains it with its own numbers.",
        {"preset": "ronneberger2015", "layer": "decoder1_concat"},
    ),
    Step(
        "Architecture",
        "Watch a photo pass through",
        "The pictures in the boxes are a trained network's own, of this photo. Press play: the picture shrinks on the "
        "left, travels across on the skip connections, and the mask grows on the right.",
        {"tab": "Experiment"},
    ),
    Step(
        "Architecture",
        "Switch it off",
        "The proof, on a trained network: turn skip connections down and watch the mask. Without the finest one the"
        " outline frays, without the deepest one a part of the pet is lost, and without all four most of it.",
        {"tab": "Experiment", "experiment": "Switch it off", "switched": "skip1-Off.skip2-Off.skip3-Off.skip4-Off"},
    ),
    Step(
        "Architecture",
        "Why a size fails",
        "250 pixels cannot be halved three times, and the network breaks where the two sides meet. Each button under"
        " “How to fix it” is one way out: press one.",
        {"preset": "keras_basic", "height": "250", "width": "250", "tab": "Shape doctor"},
    ),
    Step(
        "Architecture",
        "Find your own bug",
        "Paste an error message or your own Keras code. It is only read, never run. Press “Code with a bug” to see "
        "the line that breaks.",
        {"tab": "Find your bug"},
    ),
    Step(
        "Segment",
        "On your photo",
        "A sample photo, cut out. Add your own, also from the phone's camera; nothing leaves this machine.",
        {"sample": "dog"},
    ),
    Step(
        "Train",
        "Train one in 60 seconds",
        "The settings are made: press the start button, and watch the mask of a photo improve while the network "
        "learns. It can be used on the Segment page a minute later.",
        {"recipe": "60-second demo"},
    ),
    Step(
        "Results",
        "How good is it?",
        "Measured on photos that no training has seen, with the ones that went wrong shown first. That was the tour:"
        " every page is in the menu.",
    ),
)

BASICS = (
    Step(
        "Home",
        "A photo is a table of numbers",
        "A photo is made of pixels, and a pixel is a number: 0 is black, 255 is white (a colour photo has three such"
        " tables, for red, green and blue). A network gets nothing else.",
    ),
    Step(
        "Home",
        "A convolution looks through a small window",
        "It takes nine neighbouring pixels, multiplies each by a fixed weight, and adds up the nine products: one "
        "number. Then the window moves on by a pixel. With these weights the sum is large where light meets dark: an"
        " edge.",
    ),
    Step(
        "Home",
        "Other weights, other patterns",
        "Each set of nine weights finds a pattern of its own and makes a picture of where it is: a feature map. "
        "These weights were written by hand. A network *learns* its weights from examples, 64 sets in its first "
        "layer alone.",
    ),
    Step(
        "Home",
        "Smaller picture, larger view",
        "Pooling keeps the largest of every four numbers, so height and width are halved. The next window of nine "
        "then covers twice as much of the photo. After four halvings it covers enough to tell an ear from a tail, but "
        "no longer exactly where it is.",
    ),
    Step(
        "Home",
        "Up again, with the details from before",
        "The right half of the U doubles the size step by step. Doubled alone, the picture stays coarse; so each "
        "level is joined with the fine feature map of the left half. This shortcut is the skip connection, and the "
        "idea of the U-Net.",
    ),
    Step(
        "Home",
        "The end: a class for every pixel",
        "A last convolution turns the feature maps into one score per class, and every pixel gets the class with the"
        " highest score. All pixels together are the mask.",
    ),
)

TOURS = {"show": SHOW, "basics": BASICS}
NAMES = {"show": "Show me", "basics": "Two-minute introduction"}


def place(text: str) -> tuple[str, int] | None:
    """Return the tour and the number of the step, from 1, that an address names; None if it names none."""
    name, _, number = text.partition(".")
    if name in TOURS and number.isascii() and number.isdecimal() and 1 <= int(number[:3]) <= len(TOURS[name]):
        return name, int(number[:3])
    return None


def current() -> tuple[str, int] | None:
    """Return the tour and step that the page's address names, None if it names none."""
    return place(url.asked(STEP))


def query(name: str, number: int) -> dict[str, str]:
    """Return the parameters of the link to a step."""
    return {**TOURS[name][number - 1].query, STEP.name: f"{name}.{number}"}


def start(name: str) -> None:
    """Begin a tour whose first step is on this page; for callbacks."""
    url.replace(query(name, 1))


def bar(this: str, go: Callable[[str, Mapping[str, str]], None], figure: Callable[[int], None] | None = None) -> None:
    """Draw the step that the address names, if any.

    Args:
        this: the page's name.
        go: opens another page by its name with parameters.
        figure: draws the picture of a step of the introduction.
    """
    found = current()
    if found is None:
        return
    name, number = found
    steps = TOURS[name]
    step = steps[number - 1]
    with st.container(border=True, key=KEY):
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.markdown(f":material/tour: **{step.title}** :small[{NAMES[name]}, {number} of {len(steps)}]")
            back = st.button("Back", key="tour-back", shortcut="PageUp", disabled=number == 1)
            forward = st.button(
                "Next", key="tour-next", shortcut="PageDown", type="primary", disabled=number == len(steps)
            )
            leave = st.button("Leave", icon=":material/close:", key="tour-leave", type="tertiary", help="Ends it here")
        st.markdown(step.text)
        if figure is not None and name == "basics":
            figure(number)
    if back or forward:
        other = number + (1 if forward else -1)
        _move(this, steps[other - 1].page, query(name, other), go)
    elif leave:
        _move(this, this, {}, go)


def _move(this: str, page: str, parameters: Mapping[str, str], go: Callable[[str, Mapping[str, str]], None]) -> None:
    if page != this:
        go(page, parameters)
    url.replace(parameters)  # a link to the same page would leave the browser's address as it is
    st.rerun()
