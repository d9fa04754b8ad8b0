"""digits32: handwritten digits drawn in color at a random place over clutter, as 32x32 RGB images.

Everything is integer arithmetic on numbers drawn by PCG64, so that the same index gives the same
pixels on every machine. Lengths are in pixels, intensities in 0..255.
"""

import numpy as np
from PIL import Image

PIXELS = 32
SIDES = (16, 22)  # the 8-pixel digit is enlarged 2 to 2.75 times, in height and width apart
CONTRAST = (70, 120)  # how much lighter than its background a digit is, in every channel
CLUTTER = (20, 60)  # the same for what lies behind the digit, lighter or darker
PAPER = (80, 100)  # lightness of the background
BLOTCH = 12  # how far the background strays from its color
TINT = 12  # how far a color strays from grey
FRAGMENTS = (2, 4)  # pieces of other digits behind the digit
NOISE = 12  # half-width of each of the two uniform variables that add up to the noise of a pixel

Rng = np.random.Generator


def render(digits: np.ndarray, index: int, rng: Rng) -> np.ndarray:
    """One picture of digits[index]; clutter comes from the other `digits`.

    digits: (N, 8, 8) uint8, 0 is paper and 255 is ink. Returns (32, 32, 3) uint8.
    """
    canvas = _background(rng)
    for _ in range(rng.integers(*FRAGMENTS, endpoint=True)):
        step = rng.integers(*CLUTTER, endpoint=True) * rng.choice((-1, 1))
        _draw(canvas, _fragment(digits, index, rng), _corner(rng, margin=6), step, rng)
    ink = _enlarge(digits[index], rng.integers(*SIDES, size=2, endpoint=True))
    _draw(canvas, ink, _corner(rng, margin=0, shape=ink.shape), rng.integers(*CONTRAST, endpoint=True), rng)
    noise = rng.integers(-NOISE, NOISE, size=(2, *canvas.shape), endpoint=True).sum(axis=0)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


def _background(rng: Rng) -> np.ndarray:
    """Soft blotches around one color: (32, 32, 3), far enough from black and white for CONTRAST."""
    color = rng.integers(*PAPER, endpoint=True) + rng.integers(-TINT, TINT, size=3, endpoint=True)
    blotches = color + rng.integers(-BLOTCH, BLOTCH, size=(4, 4, 3), endpoint=True)
    image = Image.fromarray(np.clip(blotches, 0, 255).astype(np.uint8))
    return np.asarray(image.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC), dtype=np.int64).copy()


def _fragment(digits: np.ndarray, index: int, rng: Rng) -> np.ndarray:
    """A quarter to a half of another digit, enlarged like a digit."""
    other = (index + rng.integers(1, len(digits))) % len(digits)
    height, width = rng.integers(3, 5, size=2, endpoint=True)
    top, left = rng.integers(0, 9 - height), rng.integers(0, 9 - width)
    piece = digits[other, top : top + height, left : left + width]
    return _enlarge(piece, rng.integers(*SIDES, size=2, endpoint=True) * (height, width) // 8)


def _enlarge(ink: np.ndarray, shape: np.ndarray) -> np.ndarray:
    height, width = (int(n) for n in shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int64)


def _corner(rng: Rng, margin: int, shape: tuple[int, int] = (8, 8)) -> tuple[int, int]:
    """Where the top left of something of `shape` goes; `margin` pixels may lie outside the canvas."""
    return tuple(int(rng.integers(-margin, PIXELS - side + margin, endpoint=True)) for side in shape)


def _draw(canvas: np.ndarray, ink: np.ndarray, corner: tuple[int, int], step: int, rng: Rng) -> None:
    """Blend `ink` into the canvas, in place, in a color that stands off from what lies under it."""
    top, left = corner
    ink = ink[max(0, -top) : PIXELS - top, max(0, -left) : PIXELS - left]
    rows, columns = max(0, top), max(0, left)
    under = canvas[rows : rows + ink.shape[0], columns : columns + ink.shape[1]]
    color = under.sum(axis=(0, 1)) // max(1, ink.size) + step + rng.integers(-TINT, TINT, size=3, endpoint=True)
    under += (np.clip(color, 0, 255) - under) * ink[..., None] // 255
