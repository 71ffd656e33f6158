"""Convert masks to the outlines of their regions and back; in x and y, pixel (0, 0) covers 0 to 1."""

from __future__ import annotations

import numpy as np

MAX_OUTLINES = 2_000  # per mask; a mask with more is noise, and only the largest are kept
_FAITHFUL = 0.99  # least IoU of a simplified outline with its region; otherwise the exact outline is kept
_FEW_CORNERS = 12  # outlines with no more corners are not simplified
_CROSSINGS = 1_000_000  # crossings of edges and rows held in memory at a time


def polygons(mask: np.ndarray, *, tolerance: float = 0.75) -> list[list[float]]:
    """Return the outlines of a mask's regions in COCO's form, [x1, y1, x2, y2, …].

    A region with holes is one polygon that goes to each hole and back along the same line, which the even-odd rule
    fills correctly. Outlines follow the pixels' edges and are simplified where the region hardly changes. At most
    `MAX_OUTLINES` are returned, those of the largest regions.

    Args:
        mask: (H, W) bool.
        tolerance: how far, in pixels, a simplified outline may move; 0 keeps every corner.
    """
    from skimage.measure import label, regionprops  # takes a while to import

    regions = label(np.pad(np.asarray(mask, bool), 1), connectivity=1)
    found = []
    facts = regionprops(regions)
    sizes = np.bincount(regions.reshape(-1))
    if len(facts) > MAX_OUTLINES:
        facts = sorted(facts, key=lambda region_facts: -sizes[region_facts.label])[:MAX_OUTLINES]
    for region_facts in facts:
        rows, columns = (slice(side.start - 1, side.stop + 1) for side in region_facts.slice)
        region = regions[rows, columns] == region_facts.label
        corner = np.array([columns.start - 1, rows.start - 1])
        points = corner + _outline(region, tolerance)
        found.append(points.reshape(-1).tolist())
    return found


def filled_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Fill a closed outline by the even-odd rule: a pixel is inside if its centre is.

    Args:
        points: (N, 2) x and y, which may be outside the picture; none of them NaN.
        height, width: of the picture.

    Returns:
        (H, W) bool.
    """
    filled = np.zeros((height, width), bool)
    window, inside = filled_window(points, height, width)
    filled[window] = inside
    return filled


def filled_window(points: np.ndarray, height: int, width: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Fill an outline as `filled_polygon` does, but only where it is: memory and time do not depend on the picture.

    Returns:
        The outline's rows and columns in the picture, and what is filled there, bool.
    """
    starts = points.clip([-width, -height], [2 * width, 2 * height])
    ends = np.roll(starts, -1, axis=0)
    left, top = np.floor(starts.min(axis=0)).astype(int).clip(0, [width, height])
    right, bottom = np.ceil(starts.max(axis=0)).astype(int).clip(0, [width, height])
    rows_in, columns_in = bottom - top, right - left
    window = slice(top, bottom), slice(left, right)
    toggles = np.zeros((rows_in, columns_in + 1), np.uint8)
    step = max(1, _CROSSINGS // max(1, rows_in))  # an edge crosses a row once
    for first in range(0, len(points), step):
        rows, columns = _crossings(starts[first : first + step], ends[first : first + step], top, bottom)
        places = (rows - top) * (columns_in + 1) + (columns - left).clip(0, columns_in)
        np.bitwise_xor.at(toggles.reshape(-1), places, np.uint8(1))
    inside = toggles[:, :columns_in]
    return window, np.bitwise_xor.accumulate(inside, axis=1, out=inside).view(bool)


def _crossings(starts: np.ndarray, ends: np.ndarray, top: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows whose centres the edges (N, 2) cross, and the first column centre right of each crossing."""
    (x0, y0), (x1, y1) = starts.T, ends.T
    low = np.ceil(np.minimum(y0, y1) - 0.5).astype(int).clip(top, bottom)
    high = np.ceil(np.maximum(y0, y1) - 0.5).astype(int).clip(top, bottom)
    counts = high - low
    edge = np.repeat(np.arange(len(starts)), counts)
    rows = np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts) + low[edge]
    # An edge that crosses no row may be so flat that its slope is not a number.
    slope = np.divide(x1 - x0, y1 - y0, out=np.zeros(len(starts)), where=counts > 0)
    columns = np.ceil(x0[edge] + (rows + 0.5 - y0[edge]) * slope[edge] - 0.5).astype(int)
    return rows, columns


def _outline(region: np.ndarray, tolerance: float) -> np.ndarray:
    """Return one region's outline with its holes as one polygon, (N, 2) x and y."""
    from skimage.measure import approximate_polygon

    rings = _rings(region)
    if tolerance > 0 and sum(map(len, rings)) > _FEW_CORNERS:
        smooth = [_without_steps(ring) for ring in rings]
        for allowed in (tolerance, tolerance / 2):
            simple = [approximate_polygon(np.vstack([ring, ring[:1]]), allowed)[:-1] for ring in smooth]
            simple = [ring for ring in simple if len(ring) >= 3]
            if simple and _same_region(_joined(simple), region):
                return _joined(simple)
    return _joined(rings)


def _without_steps(ring: np.ndarray) -> np.ndarray:
    """Cut every corner by half a pixel, which turns staircases into the slanted lines they approximate."""
    ends = np.roll(ring, -1, axis=0)
    half = np.sign(ends - ring) / 2
    points = np.stack([ring + half, ends - half], axis=1).reshape(-1, 2)
    return points[(points != np.roll(points, 1, axis=0)).any(axis=1)]


def _rings(region: np.ndarray) -> list[np.ndarray]:
    """Follow a region's borders along the pixels' edges: closed rings of corners (N, 2) x and y, the largest first.

    The region must have a margin of one empty pixel.
    """
    following = _edges(region)
    rings = []
    while following:
        start = next(iter(following))
        ring, step, place = [], (0, 0), start
        while True:
            turn = _take(following, place, step)
            if turn != step:
                ring.append(place)
            place, step = (place[0] + turn[0], place[1] + turn[1]), turn
            if place == start:
                break
        if len(ring) > 4 and _straight(ring[-1], ring[0], ring[1]):
            ring = ring[1:]
        rings.append(np.array(ring, np.float64))
    return sorted(rings, key=lambda ring: -np.ptp(ring, axis=0).prod())


def _edges(region: np.ndarray) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return for each corner (x, y) the steps that leave it with the region on their right."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inside = region.view(np.int8)
    across, along = np.diff(inside, axis=1), np.diff(inside, axis=0)
    for rows_columns, offset, step in (
        (np.nonzero(along == 1), (0, 1), (1, 0)),  # the upper side: to the right
        (np.nonzero(along == -1), (1, 1), (-1, 0)),  # the lower side: to the left
        (np.nonzero(across == 1), (1, 1), (0, -1)),  # the left side: up
        (np.nonzero(across == -1), (1, 0), (0, 1)),  # the right side: down
    ):
        rows, columns = rows_columns
        for y, x in zip((rows + offset[1]).tolist(), (columns + offset[0]).tolist()):
            following.setdefault((x, y), []).append(step)
    return following


def _take(
    following: dict[tuple[int, int], list[tuple[int, int]]], place: tuple[int, int], step: tuple[int, int]
) -> tuple[int, int]:
    """Take the next step from a corner off the list; where two leave it, the right turn, which stays at the pixel."""
    steps = following[place]
    right = (-step[1], step[0])
    turn = steps.pop(steps.index(right) if right in steps else 0)
    if not steps:
        del following[place]
    return turn


def _straight(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> bool:
    return (here[0] - before[0]) * (after[1] - here[1]) == (here[1] - before[1]) * (after[0] - here[0])


def _joined(rings: list[np.ndarray]) -> np.ndarray:
    """Join holes to the outer ring by a line there and back, from each hole's first corner to the nearest one."""
    outer = rings[0]
    if len(rings) == 1:
        return outer
    detours: dict[int, list[np.ndarray]] = {}
    for hole in rings[1:]:
        nearest = int(np.square(outer - hole[0]).sum(axis=1).argmin())
        detours.setdefault(nearest, []).extend([hole, hole[:1], outer[nearest : nearest + 1]])
    parts = []
    for number, point in enumerate(outer):
        parts.extend([point[None], *detours.get(number, ())])
    return np.concatenate(parts)


def _same_region(points: np.ndarray, region: np.ndarray) -> bool:
    filled = filled_polygon(points, *region.shape)
    return bool((filled & region).sum() >= _FAITHFUL * (filled | region).sum())
