"""The legend of classes, with colours and shares of the photo, and the choice of these colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st
from PIL import ImageColor

from ui.shared import format as text
from ui.shared.url import Option
from unet_core.classes import CLASS_NAMES, PixelClasses
from unet_core.images import palettes
from unet_core.images.render import Colour, class_colour

MOST_LISTED = 12  # classes in a legend


def legend(
    shares: Mapping[str, float] | None = None,
    *,
    column: bool = False,
    colours: Sequence[Colour | None] | None = None,
    digits: int = 1,
    names: Sequence[str] | None = None,
) -> None:
    """Show the classes and, if given, their shares (0…1, by class name in the order of the ids).

    `column` puts each class on its own line, for narrow places; `colours` replace the default ones, None for a class
    that is not coloured; `digits` are the decimals of the shares in percent; `names` are the classes if there are no
    shares, by default the pet classes.
    """
    st.html(legend_html(shares, column=column, colours=colours, digits=digits, names=names))


def legend_html(
    shares: Mapping[str, float] | None = None,
    *,
    column: bool = False,
    colours: Sequence[Colour | None] | None = None,
    digits: int = 1,
    names: Sequence[str] | None = None,
) -> str:
    """Return the legend as HTML: a stacked bar of the shares, if given, above a list of swatch, name and share.

    Of more than `MOST_LISTED` classes with shares, those with the largest shares are listed.
    """
    names = (names or CLASS_NAMES) if shares is None else tuple(shares)
    colours = colours or [class_colour(class_id) for class_id in range(len(names))]
    listed = list(zip(names, colours))
    left_out = ""
    if shares and len(names) > MOST_LISTED:
        listed = sorted(listed, key=lambda pair: -shares[pair[0]])[:MOST_LISTED]
        listed = [pair for pair in listed if shares[pair[0]] > 0] or listed[:1]
        rest = sum(shares.values()) - sum(shares[name] for name, _ in listed)
        more = f"{len(names) - len(listed)} other classes"
        left_out = f'<div role="listitem" class="legend-class"><span>{more}</span>'
        left_out += f"<b>{text.percent(max(0.0, rest), digits)}</b></div>" if digits >= 0 else "</div>"
    entries = "".join(_entry(name, colour, shares, digits) for name, colour in listed) + left_out
    listing = f'<div role="list" class="legend{" legend-column" * column}">{entries}</div>'
    return (bar_html(shares, colours) if shares else "") + listing


def bar_html(shares: Mapping[str, float], colours: Sequence[Colour | None]) -> str:
    """Return the stacked bar of the shares as HTML."""
    spoken = ", ".join(f"{name} {text.percent(share)}" for name, share in shares.items())
    parts = "".join(
        f'<span style="flex:{share:.4f} 0 0;background:{_css(colour)}"></span>'
        for share, colour in zip(shares.values(), colours)
        if share > 0
    )
    return f'<div class="legend-bar" role="img" aria-label="{escape(spoken)}">{parts}</div>'


def choose_colours(classes: PixelClasses, palette: Option, ground: Option) -> tuple[Colour | None, ...]:
    """Draw the choice of colours and return one per class, None for a background that is not coloured.

    The default colours are those of the model's data; those of pets and all other palettes suit colour vision
    deficiencies. For custom colours a caption names a pair that is hard to distinguish.
    """
    of_pets = set(classes.names) <= set(CLASS_NAMES)
    name = st.selectbox(
        "Palette",
        [*palettes.PALETTES, palettes.CUSTOM],
        format_func=lambda name: name if of_pets or name != palettes.DEFAULT else "Colours of the data",
        **palette.widget,
    )
    colours = palettes.palette(name, classes.colours)
    if name == palettes.CUSTOM:
        colours = _custom_colours(classes.names, colours)
    else:
        st.html(legend_html(dict.fromkeys(classes.names, 1 / len(classes.names)), colours=colours, digits=-1))
    coloured = st.toggle("Colour the background too", ground.default, **ground.widget)
    return tuple(
        None if number == classes.background and not coloured else colour for number, colour in enumerate(colours)
    )


def _custom_colours(classes: Sequence[str], initial: Sequence[Colour]) -> tuple[Colour, ...]:
    with st.container(horizontal=True):
        chosen = [
            st.color_picker(text.plain(name), _hexadecimal(colour), key=f"own-{number}", persist_state="session")
            for number, (name, colour) in enumerate(zip(classes, initial, strict=True))
        ]
    colours = tuple(_rgb(colour) for colour in chosen)
    close = palettes.confusable_pair(colours)
    if close:
        first, second, vision = close
        names = f"{text.plain(classes[first])} and {text.plain(classes[second])}"
        readers = "" if vision == "normal" else f" for people with {vision}"
        st.caption(f":material/visibility_off: The colours of {names} are hard to distinguish{readers}.")
    return colours


def _entry(name: str, colour: Colour | None, shares: Mapping[str, float] | None, digits: int) -> str:
    share = f"<b>{text.percent(shares[name], digits)}</b>" if shares and digits >= 0 else ""
    return (
        f'<div role="listitem" class="legend-class">'
        f'<span class="legend-swatch" style="background:{_css(colour)}"></span>'
        f"<span>{escape(name)}</span>{share}</div>"
    )


def _css(colour: Colour | None) -> str:
    return "rgba(128,144,152,0.25)" if colour is None else "rgb({},{},{})".format(*colour)


def _rgb(hexadecimal: str) -> Colour:
    red, green, blue = ImageColor.getrgb(hexadecimal)[:3]
    return red, green, blue


def _hexadecimal(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
