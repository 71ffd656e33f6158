"""Feature maps: a photo in a trained network, block by block."""

from __future__ import annotations

import io

import numpy as np
import streamlit as st
from PIL import Image

from ui.architecture import state
from ui.architecture.cached import block_of
from ui.architecture.state import View
from ui.shared import format as text
from ui.shared.uploads import own_photo
from unet_core.architecture.query import nearest_preset
from unet_core.architecture.table import block_title, counted
from unet_core.architecture.trace import trace
from unet_core.explain.feature_maps import BlockMaps, FeatureMaps, contact_sheet, feature_maps, to_grey
from unet_core.images import render
from unet_core.images.decode import ImageError, decode_image
from unet_core.images.samples import CAT_CREDIT, cat_png
from unet_core.settings import Settings
from unet_core.zoo.manifest import ModelEntry, WeightsError, load_manifest

PHOTO, MODEL, ALL = "architecture-map-photo", "architecture-map-model", "architecture-map-all"
TOP = 12  # channels
LARGEST, SMALLEST = 132, 30  # pixels of the strip's tiles
STRIP, BETWEEN = 890, 12  # pixels: the strip in a window of 1280, and the gap between its tiles
DEFAULT_BLOCK = "encoder1"
# Five points of a perceptually uniform scale from dark to light (matplotlib's viridis).
_SCALE = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float32)


def section(view: View, settings: Settings) -> None:
    """Show the choice of model and photo, the strip of all blocks, and the selected block's channels."""
    try:
        manifest = load_manifest(settings)
        name = _model(list(manifest.models), manifest.default)
        entry = manifest.entry(name)
        photo = _photo(settings)
        with st.spinner("Running the network…"):
            found = _maps(name, "-".join(file.sha256 for file in entry.files.values()), photo, settings)
    except (WeightsError, ImageError) as error:
        st.error(text.plain(str(error)), icon=":material/broken_image:")
        return
    _whose(view, entry, name)
    block = _chosen(view, found)
    _strip(found, block.block)
    _block(block)


def _model(names: list[str], default: str) -> str:
    if len(names) == 1:
        return names[0]
    ordered = [default, *(name for name in names if name != default)]
    chosen = st.segmented_control(
        "Model", ordered, default=default, required=True, key=MODEL, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    return chosen if chosen in names else default


def _photo(settings: Settings) -> bytes:
    """Return the uploaded photo's file, or the sample's."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        upload = own_photo(PHOTO, settings)
        if upload is None:
            st.caption(CAT_CREDIT, width="content")
            return cat_png()
        st.caption(text.plain(upload.name), width="content")
        decode_image(upload.getvalue(), name=upload.name, max_side=16, settings=settings)  # an error names the file
        return upload.getvalue()


@st.cache_resource(max_entries=4, show_spinner=False)
def _maps(model: str, files: str, photo: bytes, _settings: Settings) -> FeatureMaps:
    return feature_maps(model, decode_image(photo, max_side=1024, settings=_settings), _settings)


def _whose(view: View, entry: ModelEntry, name: str) -> None:
    config = entry.config
    same = view.config.replace(encoder_weights="none") == config.replace(encoder_weights="none")
    if same:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(
            f"Feature maps need trained weights, so these are of the model **{text.plain(entry.title or name)}**, "
            "not of the network above.",
            width="content",
        )
        st.button(
            "Show this model above",
            icon=":material/arrow_upward:",
            type="tertiary",
            key="architecture-map-show",
            on_click=lambda: state.change(config=config, preset=nearest_preset(config)),
        )


def _chosen(view: View, found: FeatureMaps) -> BlockMaps:
    """Return the maps of the block that is selected in the diagram or contains the selected layer."""
    wanted = block_of(trace(view.config), view.layer) or view.layer
    names = [block.block for block in found.blocks]
    return found.block(wanted if wanted in names else DEFAULT_BLOCK if DEFAULT_BLOCK in names else names[0])


# --- the strip --------------------------------------------------------------------------------------------------------


def _strip(found: FeatureMaps, chosen: str) -> None:
    """Show the photo, the mean map of every block, and the mask, sized by their resolution."""
    sizes = [found.image.shape[0], *(block.maps.shape[1] for block in found.blocks), found.mask.shape[0]]
    unit = _unit(sizes)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="xsmall", key="feature-strip"):
        _tile("Photo", _photo_png(found.image), found.image.shape[:2], unit)
        for block in found.blocks:
            _tile(block.block, _coloured(block.mean_map), block.mean_map.shape, unit, chosen == block.block)
        _tile("Mask", _mask_png(found), found.mask.shape, unit)


def _unit(sizes: list[int]) -> float:
    """Return the factor from the square root of a map's side to its tile in pixels, so that all tiles fit in one row.

    Without the root, the deepest maps would be too small to see.
    """
    roots = [size**0.5 for size in sizes]
    return min(LARGEST / max(roots), (STRIP - BETWEEN * len(sizes)) / sum(roots))


def _tile(name: str, picture: bytes, size: tuple[int, ...], unit: float, chosen: bool | None = None) -> None:
    """Show one tile with its size; the button below it selects a block."""
    side = max(SMALLEST, round(unit * size[0] ** 0.5))
    title = block_title(name)
    with st.container(width=side + 4, gap=None):
        st.image(picture, width=side, alt=title if chosen is None else f"Mean map of {title}")
        st.button(
            _short_title(title),
            key=f"architecture-map-{name}",
            type="primary" if chosen else "tertiary",
            help=title,
            disabled=chosen is None,
            width="stretch",
            on_click=state.change,
            kwargs={"layer": name},
        )
        st.caption(f"{size[0]}²" if size[0] == size[1] else f"{size[0]}{text.TIMES}{size[1]}")


def _short_title(title: str) -> str:
    return title.replace("Encoder ", "E").replace("Decoder ", "D").replace("Bottleneck", "B")


# --- one block --------------------------------------------------------------------------------------------------------


def _block(block: BlockMaps) -> None:
    channels = block.shape[2]
    mean, maps = st.columns([1, 3], gap="medium")
    with mean:
        st.markdown(f"**{block_title(block.block)}**, {text.shape(block.shape)}")
        st.image(_coloured(block.mean_map, 320), width="stretch", alt=f"Mean over the channels of {block.block}")
        st.caption(f"Mean over the {channels} channels of `{block.layer}`, from dark (low) to light (high).")
    with maps:
        every = channels > TOP and st.toggle(
            f"All {channels} channels", key=ALL, persist_state="session", help="Strongest first"
        )
        if every:
            st.image(_sheet_png(block), width="stretch", alt=f"All {channels} channels of {block.block}")
            st.caption("Each channel is stretched to its own range; the strongest comes first.")
            return
        st.caption(f"The {counted(min(TOP, channels), 'channel')} with the largest mean activation")
        with st.grid(6, min_column_width=84, gap="xsmall"):
            for place in range(min(TOP, channels)):
                number, value = block.channels[place], block.means[place]
                st.image(
                    _coloured(block.maps[place], 160), f"{number} · {value:.2f}", width="stretch",
                    alt=f"Channel {number}, mean activation {value:.2f}",
                )  # fmt: skip


# --- pictures ---------------------------------------------------------------------------------------------------------


def coloured(values: np.ndarray) -> np.ndarray:
    """Return a map (h, w) in colours from dark, its lowest value, to light, its highest: (h, w, 3) uint8."""
    place = to_grey(values).astype(np.float32) * ((len(_SCALE) - 1) / 255)
    below = np.minimum(place.astype(int), len(_SCALE) - 2)
    part = (place - below)[..., None]
    return np.rint(_SCALE[below] * (1 - part) + _SCALE[below + 1] * part).astype(np.uint8)


def _coloured(values: np.ndarray, side: int = LARGEST) -> bytes:
    """Return a coloured map as PNG, enlarged without smoothing to at least `side` pixels."""
    factor = max(1, -(-side // max(values.shape)))
    picture = Image.fromarray(coloured(values))
    return _png(picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST))


def _sheet_png(block: BlockMaps) -> bytes:
    columns = 16 if block.maps.shape[0] > 48 else 8
    sheet = Image.fromarray(contact_sheet(block.maps, columns))
    factor = max(1, 900 // sheet.width)
    return _png(sheet.resize((sheet.width * factor, sheet.height * factor), Image.Resampling.NEAREST))


def _photo_png(image: np.ndarray) -> bytes:
    return _png(Image.fromarray(image.squeeze(-1) if image.shape[2] == 1 else image))


def _mask_png(found: FeatureMaps) -> bytes:
    colours = [render.class_colour(index) for index in range(len(found.classes))]
    blank = np.zeros((*found.mask.shape, 3), np.uint8)
    return _png(Image.fromarray(render.overlay(blank, found.mask, opacity=1.0, outline=False, colours=colours)))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
