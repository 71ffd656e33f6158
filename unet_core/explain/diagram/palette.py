"""The colours of a U diagram on a light and a dark background, and its stylesheet."""

from __future__ import annotations

from typing import Literal

from unet_core.explain.diagram.operations import OPERATIONS

Theme = Literal["light", "dark"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"

COLOURS: dict[str, dict[str, str]] = {
    "light": {
        "ground": "#ffffff", "ink": "#15232b", "quiet": "#52636d", "edge": "#4f6b80", "map": "#c4d8e8",
        "copy": "#ffffff", "end": "#e6ebee", "crop": "#15232b", "pending": "#b9c4ca", "wrong": "#b71c1c",
        "wrong-fill": "#fde3e1", "accent": "#0f766e",
        **{key: operation.light for key, operation in OPERATIONS.items()},
    },
    "dark": {
        "ground": "#10181d", "ink": "#e6edf0", "quiet": "#9fb0b9", "edge": "#8fb0c9", "map": "#2f4d66",
        "copy": "#10181d", "end": "#26343c", "crop": "#e6edf0", "pending": "#43535c", "wrong": "#ff6b62",
        "wrong-fill": "#3d1f20", "accent": "#5ccfc0",
        **{key: operation.dark for key, operation in OPERATIONS.items()},
    },
}  # fmt: skip


def stylesheet(theme: Theme) -> str:
    """Return the rules of a self-contained picture."""
    variables = ";".join(f"--{name}:{colour}" for name, colour in COLOURS[theme].items())
    return f".u-diagram{{{variables}}}" + RULES


def theme_rules() -> str:
    """Return the rules for a page that switches between light and dark by the CSS property color-scheme."""
    light, dark = COLOURS["light"], COLOURS["dark"]
    variables = ";".join(f"--{name}:light-dark({light[name]},{dark[name]})" for name in light)
    return f".u-diagram{{{variables}}}" + RULES


# Shared with the page's component, which sets the same variables.
RULES = "".join(
    [
        ".ground{fill:var(--ground)}",
        "text{fill:var(--quiet)}text.channels{fill:var(--ink);font-weight:600}text.legend{fill:var(--ink)}",
        ".tile rect{fill:none;stroke:none;pointer-events:all}",
        ".tile.selected rect{fill:var(--accent);fill-opacity:.13;stroke:var(--accent);stroke-opacity:.55}",
        ".tile.selected text{fill:var(--accent);font-weight:600}",
        ".box rect{stroke:var(--edge);stroke-width:1}",
        ".map{fill:var(--map)}.copy{fill:var(--copy)}.input,.output{fill:var(--end)}",
        ".crop{stroke:var(--crop);stroke-width:1.1;stroke-dasharray:3 2;fill:none}",
        ".reach{fill:none;pointer-events:all}",
        *(f".arrow.{key}{{--own:var(--{key})}}" for key in OPERATIONS),
        ".shaft{stroke:var(--own);stroke-width:2;fill:none}.head{fill:var(--own)}",
        ".arrow.skip .shaft{stroke-width:4}",
        ".medium .shaft{stroke-width:1.7}.medium .arrow.skip .shaft{stroke-width:3.2}",
        ".compact .shaft{stroke-width:1.4}.compact .arrow.skip .shaft{stroke-width:2.4}",
        ".thumbnail .shaft{stroke-width:1}.thumbnail .arrow.skip .shaft{stroke-width:1.4}",
        ".thumbnail .box rect{stroke-width:.6}",
        ".box.pending rect{fill:none;stroke:var(--pending);stroke-dasharray:3 3}",
        ".arrow.pending{--own:var(--pending)}",
        ".box.failed rect{fill:var(--wrong-fill);stroke:var(--wrong);stroke-width:1.6}",
        ".box.selected rect{stroke:var(--accent);stroke-width:2.6}",
        ".selected .shaft{stroke-width:3.6}",
        ".mark circle{fill:var(--wrong);stroke:var(--ground);stroke-width:1.5}",
        ".mark path{stroke:var(--ground);stroke-width:2;stroke-linecap:round}",
        "text.mark{fill:var(--wrong);font-weight:700;paint-order:stroke;stroke:var(--ground);stroke-width:4px;"
        "stroke-linejoin:round}",
    ]
)
