"""Pictures of handwritten digits scattered over clutter, each with the mask of what is visible of it.

Integer arithmetic on numbers drawn by PCG64, so that the same picture has the same pixels on every machine.
Lengths are in pixels, intensities in 0..255, arrays are (height, width) or (height, width, 3). No torch here.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

SIDES = (96, 112, 128)  # of a picture, height and width apart
DIGITS = (1, 6)  # in a picture
SIZES = (16, 64)  # of a digit: two octaves, every octave as often
INK = 96  # from here on a pixel belongs to the digit
CONTRAST = (80, 130)  # how much lighter than the paper a digit is
CLUTTER = (25, 60)  # the same for the fragments behind the digits, lighter or darker
PAPER = (70, 100)
STRAY = 12  # how far the paper's colors stray, from grey and from place to place; and the noise of a pixel
TINT = 35  # how far a digit's color strays from grey
FRAGMENTS = (4, 9)  # pieces of digits behind the digits
VISIBLE = 0.6  # a digit is left out where less than this of one would be seen
CROWDED = 6  # one picture in so many has a crowd
CROWD = (7, 11)  # digits in a crowd
CROWD_SIZES = (7, 10)

Rng = np.random.Generator


@dataclass
class Thing:
    """One digit, or a crowd of digits of one class. mask: (height, width) bool, what is visible of it."""

    label: int
    mask: np.ndarray
    crowd: bool = False


def scene(digits: np.ndarray, labels: np.ndarray, rng: Rng) -> tuple[np.ndarray, list[Thing]]:
    """A picture (height, width, 3) uint8 and what is in it. digits: (N, 8, 8) uint8, 255 is ink; labels: (N,)."""
    height, width = (int(side) for side in rng.choice(SIDES, size=2))
    canvas = _paper(height, width, rng)
    for _ in range(rng.integers(*FRAGMENTS, endpoint=True)):
        top, left, part = *rng.integers(0, 5, size=2), rng.integers(3, 5)
        piece = _enlarged(digits[rng.integers(len(digits))][top : top + part, left : left + part], _size(SIZES, rng) // 2)
        _draw(canvas, piece, _corner(canvas, piece, rng), rng.integers(*CLUTTER) * rng.choice((-1, 1)), rng)
    things: list[Thing] = []
    if rng.integers(CROWDED) == 0:
        things.append(_crowd(canvas, digits, labels, rng))
    for _ in range(rng.integers(*DIGITS, endpoint=True)):
        number = rng.integers(len(digits))
        ink = _enlarged(digits[number], _size(SIZES, rng))
        corner = _corner(canvas, ink, rng)
        mask = _placed(ink >= INK, corner, canvas.shape[:2])
        if _hides(mask, things):
            continue
        for thing in things:
            thing.mask &= ~mask
        _draw(canvas, ink, corner, rng.integers(*CONTRAST), rng)
        things.append(Thing(int(labels[number]), mask))
    noise = rng.integers(-STRAY, STRAY, size=canvas.shape, endpoint=True)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8), things


def _crowd(canvas: np.ndarray, digits: np.ndarray, labels: np.ndarray, rng: Rng) -> Thing:
    """Small digits of one class close together, too many to be told apart."""
    label = int(rng.choice(np.unique(labels)))
    alike = digits[labels == label]
    area = np.zeros(canvas.shape[:2], bool)
    top, left = (int(rng.integers(0, side - 28)) for side in area.shape)
    for _ in range(rng.integers(*CROWD, endpoint=True)):
        ink = _enlarged(alike[rng.integers(len(alike))], int(rng.integers(*CROWD_SIZES, endpoint=True)))
        corner = (top + int(rng.integers(18)), left + int(rng.integers(18)))
        _draw(canvas, ink, corner, rng.integers(*CONTRAST), rng)
        area |= _placed(np.ones_like(ink, bool), corner, area.shape)
    return Thing(label, area, crowd=True)


def _hides(mask: np.ndarray, things: list[Thing]) -> bool:
    """Whether what `mask` covers would leave too little of something that is there."""
    return any((thing.mask & ~mask).sum() < VISIBLE * thing.mask.sum() for thing in things)


def _paper(height: int, width: int, rng: Rng) -> np.ndarray:
    """Soft blotches around one color."""
    color = rng.integers(*PAPER) + rng.integers(-STRAY, STRAY, size=3)
    blotches = color + rng.integers(-STRAY, STRAY, size=(5, 5, 3))
    image = Image.fromarray(np.clip(blotches, 0, 255).astype(np.uint8))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int64).copy()


def _size(sizes: tuple[int, int], rng: Rng) -> int:
    """A size between two, each octave as likely: the smaller one doubled a uniform number of times, in sixteenths of an octave."""
    low, high = sizes
    return round(low * 2 ** (rng.integers(0, 16 * int(np.log2(high / low)), endpoint=True) / 16))


def _enlarged(ink: np.ndarray, size: int) -> np.ndarray:
    """(size, size) intensities."""
    return np.asarray(Image.fromarray(ink).resize((size, size), Image.Resampling.BICUBIC), dtype=np.int64)


def _corner(canvas: np.ndarray, ink: np.ndarray, rng: Rng) -> tuple[int, int]:
    """Where the top left of `ink` goes so that all of it is inside."""
    return tuple(int(rng.integers(0, side - size, endpoint=True)) for side, size in zip(canvas.shape, ink.shape, strict=False))


def _placed(mask: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape, bool)
    under = whole[corner[0] : corner[0] + mask.shape[0], corner[1] : corner[1] + mask.shape[1]]
    under |= mask[: under.shape[0], : under.shape[1]]
    return whole


def _draw(canvas: np.ndarray, ink: np.ndarray, corner: tuple[int, int], step: int, rng: Rng) -> None:
    """Blend `ink` into the canvas, in place, in a color that stands off by `step` from what lies under it."""
    under = canvas[corner[0] : corner[0] + ink.shape[0], corner[1] : corner[1] + ink.shape[1]]
    ink = ink[: under.shape[0], : under.shape[1], None]
    color = under.mean(axis=(0, 1)).astype(np.int64) + step + rng.integers(-TINT, TINT, size=3)
    under += (np.clip(color, 0, 255) - under) * ink // 255
