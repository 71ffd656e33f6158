"""Augmented batches that are drawn, distorted, recoloured and composed on the GPU."""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

PET, BACKGROUND, BORDER, IGNORE = 0, 1, 2, 255
PHOTO_SIDE, MASK_SIDE = 288, 256  # photos and masks are stretched to squares, as for the models' input


@dataclass
class Photos:
    """Photos (N, 3, side, side) and masks (N, side, side), bytes; the photos' proportions, width / height."""

    photos: Tensor
    masks: Tensor
    proportions: Tensor

    def to(self, device: torch.device) -> Photos:
        """Move everything to a device."""
        return Photos(self.photos.to(device), self.masks.to(device), self.proportions.to(device))


def _decoded(pair: tuple[bytes, bytes]) -> tuple[np.ndarray, np.ndarray, float]:
    photo = Image.open(io.BytesIO(pair[0])).convert("RGB")
    mask = Image.open(io.BytesIO(pair[1]))
    square = photo.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BILINEAR)
    mask = mask.resize((MASK_SIDE, MASK_SIDE), Image.Resampling.NEAREST)
    return np.asarray(square).transpose(2, 0, 1), np.asarray(mask), photo.width / photo.height


def read_photos(folder: Path, pattern: str, pool) -> Photos:
    """Decode all photos and masks of the ZIP files that match."""
    pairs = []
    for path in sorted(folder.glob(pattern)):
        with zipfile.ZipFile(path) as file:
            names = sorted(name for name in file.namelist() if not name.endswith(".png"))
            pairs += [(file.read(name), file.read(name.rsplit(".", 1)[0] + ".png")) for name in names]
    if not pairs:
        raise FileNotFoundError(f"{folder / pattern}: no photos")
    photos, masks, proportions = zip(*pool.map(_decoded, pairs, chunksize=16))
    return Photos(torch.from_numpy(np.stack(photos)), torch.from_numpy(np.stack(masks)), torch.tensor(proportions))


def joined(*parts: Photos) -> Photos:
    """Return the photos of several sets as one."""
    return Photos(
        *(torch.cat([getattr(part, field) for part in parts]) for field in ("photos", "masks", "proportions"))
    )


# --- a batch -------------------------------------------------------------------------------------------------------


class Batches:
    """Draws augmented batches: Oxford's photos, everyday photos with pets and everyday photos without any."""

    def __init__(self, oxford: Photos, everyday: Photos, shares: tuple[float, float, float], seed: int) -> None:
        self.all = joined(oxford, everyday)
        device = self.all.photos.device
        self.random = torch.Generator(device).manual_seed(seed)
        has_pet = (everyday.masks == PET).flatten(1).any(1) | (everyday.masks == BORDER).flatten(1).any(1)
        first = len(oxford.photos)
        numbers = torch.arange(len(everyday.photos), device=device) + first
        self.groups = (torch.arange(first, device=device), numbers[has_pet], numbers[~has_pet])
        self.with_pets = torch.cat(self.groups[:2])
        self.shares = torch.tensor(shares, device=device)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return `count` random numbers."""
        return low + (high - low) * torch.rand(count, generator=self.random, device=self.random.device)

    def chance(self, count: int, share: float) -> Tensor:
        """Return `count` booleans of which `share` are true."""
        return self.uniform(count) < share

    def pick(self, among: Tensor, count: int) -> Tensor:
        """Return `count` random entries."""
        return among[(self.uniform(count) * len(among)).long().clamp_(max=len(among) - 1)]

    def draw(self, count: int, sizes: tuple[int, ...], strength: float) -> tuple[list[Tensor], Tensor]:
        """Return photos (B, 3, size, size) in 0…1 at each of `sizes`, and labels (B, size, size) at the first."""
        group = torch.bucketize(self.uniform(count), self.shares.cumsum(0)[:-1])
        index = torch.stack([self.pick(each, count) for each in self.groups]).gather(0, group[None])[0]
        other, foreign = self.pick(self.with_pets, count), self.pick(self.groups[2], count)
        maps = self.views(self.all.proportions[index], strength), self.pasting(self.all.proportions[other])
        cover = self.views(self.all.proportions[foreign], strength)
        pastes = self.chance(count, 0.22 * (0.5 + 0.5 * strength))
        covers = self.chance(count, 0.10 * strength + 0.03)
        shape = self.shape(count)
        colour, spoil = self.colours(count, strength), self.spoils(count, strength)
        photos = []
        for size in sizes:
            photo = sampled(self.all.photos, index, maps[0], size)
            inside = self.labels(other, maps[1], size, outside=BACKGROUND)
            inside = pastes[:, None, None] & (inside != BACKGROUND) & (inside != IGNORE)
            photo = torch.where(inside[:, None], sampled(self.all.photos, other, maps[1], size), photo)
            hidden = covers[:, None, None] & rectangles(shape, size)
            photo = torch.where(hidden[:, None], sampled(self.all.photos, foreign, cover, size), photo)
            photos.append(spoiled(recoloured(photo, *colour), *spoil))
        self.is_oxford = group == 0
        return photos, self.composed_labels(index, other, maps, pastes, covers, shape, sizes[0])

    def composed_labels(self, index, other, maps, pastes, covers, shape, size: int) -> Tensor:
        """Return the labels of `draw`'s photos; what covers a pet is background, with a border where they touch."""
        labels = self.labels(index, maps[0], size)
        pasted = self.labels(other, maps[1], size, outside=BACKGROUND)
        inside = pastes[:, None, None] & (pasted != BACKGROUND) & (pasted != IGNORE)
        labels = torch.where(inside, pasted, labels)
        hidden = covers[:, None, None] & rectangles(shape, size)
        touching = F.max_pool2d(hidden[:, None].float(), 7, 1, 3)[:, 0] > 0
        labels = torch.where(touching & (labels == PET), torch.full_like(labels, BORDER), labels)
        return torch.where(hidden, torch.full_like(labels, BACKGROUND), labels)

    def labels(self, index: Tensor, maps: Tensor, size: int, outside: int | None = None) -> Tensor:
        """Return the masks seen through `maps` by nearest neighbour; mirrored outside, or `outside` there."""
        masks = self.all.masks[index].float()[:, None] + 1
        grid = F.affine_grid(maps, [len(index), 1, size, size], align_corners=False)
        how = "reflection" if outside is None else "zeros"
        seen = F.grid_sample(masks, grid, "nearest", how, align_corners=False)[:, 0].round().long() - 1
        return seen if outside is None else torch.where(seen < 0, torch.full_like(seen, outside), seen)

    def views(self, proportions: Tensor, strength: float) -> Tensor:
        """Return maps from the result to the photo, (B, 2, 3) in -1…1: flips, rotation, zoom, stretch, shear, shift."""
        count = len(proportions)
        low, high = math.log(0.85 - 0.33 * strength), math.log(1.7 + 0.4 * strength)
        zoom = torch.exp(self.uniform(count, low, high))
        zoom = torch.where(
            self.chance(count, 0.08 * strength), torch.exp(self.uniform(count, math.log(0.3), low)), zoom
        )
        turn = self.uniform(count, -1, 1) * math.radians(6 + 8 * strength)
        turn = torch.where(self.chance(count, 0.08 * strength), self.uniform(count, -1, 1) * math.radians(45), turn)
        room = 0.12 + 0.8 * (1 - 1 / zoom).clamp(min=0)
        return self._maps(proportions, zoom, turn, room, stretch=1.15 + 0.25 * strength, shear=3 + 3 * strength)

    def pasting(self, proportions: Tensor) -> Tensor:
        """Return maps like `views` for pets that are pasted: smaller, and anywhere."""
        count = len(proportions)
        zoom = torch.exp(self.uniform(count, math.log(0.22), math.log(1.1)))
        turn = self.uniform(count, -1, 1) * math.radians(12)
        return self._maps(proportions, zoom, turn, 0.75 / zoom, stretch=1.3, shear=5)

    def _maps(self, proportions, zoom, turn, room, stretch: float, shear: float) -> Tensor:
        count = len(zoom)
        mirror = torch.where(self.chance(count, 0.5), -1.0, 1.0)
        wide = torch.exp(self.uniform(count, -0.5, 0.5) * 2 * math.log(stretch) / 2)
        slope = torch.tan(self.uniform(count, -1, 1) * math.radians(shear))
        cosine, sine = torch.cos(turn) / zoom, torch.sin(turn) / zoom
        shift_x, shift_y = self.uniform(count, -1, 1) * room, self.uniform(count, -1, 1) * room
        aspect = proportions.sqrt()  # the stored photo is a square: rotate at the photo's own proportions
        rows = torch.stack([
            mirror * cosine * wide, mirror * (cosine * slope - sine) / wide / aspect**2, shift_x,
            sine * wide * aspect**2, (sine * slope + cosine) / wide, shift_y,
        ], -1)  # fmt: skip
        return rows.view(count, 2, 3)

    def shape(self, count: int) -> Tensor:
        """Return rectangles that cover something: centre, half sides and angle, (5, B)."""
        thin = self.chance(count, 0.4)
        half = torch.where(thin, self.uniform(count, 0.02, 0.1), self.uniform(count, 0.1, 0.5))
        long = torch.where(thin, self.uniform(count, 0.5, 2.0), self.uniform(count, 0.1, 0.7))
        x, y = self.uniform(count, -0.8, 0.8), self.uniform(count, -0.8, 0.8)
        return torch.stack([x, y, half, long, self.uniform(count, 0, math.pi)])

    def colours(self, count: int, strength: float) -> tuple[Tensor, Tensor]:
        """Return colour matrices (B, 3, 3) and brightness (B,)."""
        gain = 1 + self.uniform(count, -1, 1) * (0.15 + 0.2 * strength)
        saturation = (1 + self.uniform(count, -1, 1) * (0.2 + 0.25 * strength)).clamp(min=0)
        saturation = torch.where(self.chance(count, 0.06), 0.0, saturation)
        hue = self.uniform(count, -1, 1) * math.radians(4 + 5 * strength)
        device = gain.device
        to = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], device=device)
        cosine, sine, zero, one = saturation * hue.cos(), saturation * hue.sin(), gain * 0, gain * 0 + 1
        chroma = torch.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], -1).view(count, 3, 3)
        return gain[:, None, None] * (torch.linalg.inv(to) @ chroma @ to), self.uniform(count, -1, 1) * (
            0.12 + 0.1 * strength
        )

    def spoils(self, count: int, strength: float) -> tuple[Tensor, Tensor, Tensor, torch.Generator]:
        """Return how much of each photo is blurred, whether it loses its details, and its noise."""
        blur = self.uniform(count) * self.chance(count, 0.1 + 0.1 * strength)
        coarse = self.chance(count, 0.04 * strength)
        return blur, coarse, self.uniform(count) * 0.05 * self.chance(count, 0.3 + 0.4 * strength), self.random


def sampled(photos: Tensor, index: Tensor, maps: Tensor, size: int) -> Tensor:
    """Return photos seen through `maps`, mirrored outside, (B, 3, size, size) in 0…1, without aliasing."""
    source = photos[index].float()
    step = maps[:, :, :2].norm(dim=1).amax(1) * source.shape[-1] / (2 * size)  # in the photo's pixels
    for least, side in ((2.6, 5), (1.4, 3)):
        smooth = F.avg_pool2d(source, side, 1, side // 2, count_include_pad=False)
        source = torch.where((step > least)[:, None, None, None], smooth, source)
    grid = F.affine_grid(maps, [len(index), 3, 2 * size, 2 * size], align_corners=False)
    return F.avg_pool2d(F.grid_sample(source, grid, "bilinear", "reflection", align_corners=False), 2) / 255


def rectangles(shape: Tensor, size: int) -> Tensor:
    """Return the inside of rotated rectangles, (B, size, size)."""
    line = (torch.arange(size, device=shape.device) + 0.5) * 2 / size - 1
    x, y, half, long, angle = (each[:, None, None] for each in shape)
    across, down = line[None, None, :] - x, line[None, :, None] - y
    u, v = across * angle.cos() + down * angle.sin(), down * angle.cos() - across * angle.sin()
    return (u.abs() < half) & (v.abs() < long)


def recoloured(photo: Tensor, matrix: Tensor, brightness: Tensor) -> Tensor:
    """Apply a colour matrix around each photo's mean, then brightness."""
    mean = photo.mean((2, 3))
    grey = (mean * torch.tensor([0.299, 0.587, 0.114], device=photo.device)).sum(1)[:, None].expand(-1, 3)
    offset = grey - (matrix @ grey[..., None])[..., 0] + brightness[:, None]
    return (torch.einsum("bij,bjhw->bihw", matrix, photo) + offset[..., None, None]).clamp(0, 1)


def spoiled(photo: Tensor, blur: Tensor, coarse: Tensor, noise: Tensor, random: torch.Generator) -> Tensor:
    """Blur some photos, take the details from some, and add noise."""
    smooth = F.avg_pool2d(F.pad(photo, (2, 2, 2, 2), mode="replicate"), 5, 1)
    photo = photo + blur[:, None, None, None] * (smooth - photo)
    poor = F.interpolate(F.avg_pool2d(photo, 4), photo.shape[2:], mode="bilinear", align_corners=False)
    photo = torch.where(coarse[:, None, None, None], poor, photo)
    grain = torch.randn(photo.shape, generator=random, device=photo.device)
    return (photo + noise[:, None, None, None] * grain).clamp(0, 1)
