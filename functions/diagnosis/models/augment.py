"""Films as they might have been taken: moved, turned, scaled, lit and processed otherwise. Offline only (torch).

Films are never mirrored: a chest is not symmetric. How closely a film is cut, and its proportions, go with the label in
the training films, as sicker and younger children are taken otherwise; so these are changed the most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Augmentation", "augmented"]


@dataclass(frozen=True)
class Augmentation:
    """How far each change may go, in either direction.

    Parameters
    ----------
    degrees : float
        Rotation.
    shift : float
        In half widths of the picture.
    scale, aspect, contrast, gamma : float
        Natural logarithm of the factor.
    shear, brightness : float
    blur : float
        Share of the way to (or, below 0, away from) a mean over 3 x 3 pixels.
    noise : float
        Largest standard deviation.
    """

    degrees: float = 8.0
    shift: float = 0.12
    scale: float = 0.2
    aspect: float = 0.12
    shear: float = 0.05
    gamma: float = 0.25
    contrast: float = 0.2
    brightness: float = 0.07
    blur: float = 0.4
    noise: float = 0.02


def augmented(pixels: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Return each picture changed by its own draw.

    Parameters
    ----------
    pixels : Tensor, shape (n, 1, rows, columns)
        In [0, 1].
    how : Augmentation
    generator : torch.Generator
    """
    count = len(pixels)

    def draw(most: float) -> Tensor:
        return (2.0 * torch.rand(count, generator=generator) - 1.0) * most

    moved = _moved(pixels, how, draw(1.0), draw(1.0), draw(1.0), draw(1.0), draw(1.0), draw(1.0))
    lit = moved.clamp(1e-3, 1.0) ** _each(torch.exp(draw(how.gamma)))
    mean = lit.mean(dim=(2, 3), keepdim=True)
    lit = (lit - mean) * _each(torch.exp(draw(how.contrast))) + mean + _each(draw(how.brightness))
    smooth = functional.avg_pool2d(functional.pad(lit, (1, 1, 1, 1), mode="replicate"), 3, 1)
    sharp = lit + _each(draw(how.blur)) * (smooth - lit)
    deviation = _each(torch.rand(count, generator=generator) * how.noise)
    return (sharp + torch.randn(pixels.shape, generator=generator) * deviation).clamp(0.0, 1.0)


def _moved(
    pixels: Tensor,
    how: Augmentation,
    turn: Tensor,
    size: Tensor,
    aspect: Tensor,
    right: Tensor,
    down: Tensor,
    lean: Tensor,
) -> Tensor:
    angle, scale = turn * how.degrees * math.pi / 180.0, torch.exp(size * how.scale)
    wide = torch.exp(aspect * how.aspect)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cosine * wide, lean * how.shear - sine, right * how.shift], dim=1)
    second = torch.stack([sine, cosine / wide, down * how.shift], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
