"""motions: a handwritten digit that moves in one of eight ways over a cluttered ground, as frames of 48x40 RGB pixels.

Everything is integer arithmetic on numbers drawn by PCG64, positions in 256ths of a pixel, so that the same
draw gives the same pixels on every machine. The class is the motion; digit, place, size, color, ground and speed tell nothing.
"""

import math

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FRAMES = 48, 40, 20
CLASSES = ("bounce", "down", "left", "right", "rotate", "still", "up", "zoom")
GLYPH = 64  # side of the enlarged digit that frames are sampled from
UNIT = 256  # parts of a pixel
SIZES = (13, 18)  # side of a digit, in pixels
TRAVEL = (14, 22)  # pixels that a digit moves in the whole clip
TURN = (60, 150)  # degrees that it turns
ZOOM = (150, 200)  # percent of the smaller size that the larger one is
DRIFT = 1  # pixels that any digit strays, in the whole clip, beside its motion
CONTRAST = (70, 120)  # how much lighter than its ground a digit is
PAPER = (80, 110)  # lightness of the ground
BLOTCH, TINT = 6, 8  # how far the ground strays from its color, and a color from grey
FRAGMENTS, CLUTTER = (1, 3), (10, 25)  # pieces of other digits that stand still, and their contrast
FLICKER = 3  # how far the lightness of a frame strays
NOISE = 5  # half-width of each of the two uniform variables that add up to the noise of a pixel

Rng = np.random.Generator
Path = np.ndarray  # (FRAMES, 4) int64: x and y of the center and side, in 256ths of a pixel, and angle in degrees


def render(digits: np.ndarray, index: int, motion: str, rng: Rng) -> np.ndarray:
    """A clip of digits[index] in `motion`; clutter comes from the other `digits`.

    digits: (N, 8, 8) uint8, 0 is paper and 255 is ink. Returns (FRAMES, HEIGHT, WIDTH, 3) uint8.
    """
    ground = _ground(digits, index, rng)
    path = _path(motion, rng)
    glyph = _enlarged(digits[index])
    color = rng.integers(*CONTRAST, endpoint=True) + rng.integers(-TINT, TINT, size=3, endpoint=True)
    flicker = rng.integers(-FLICKER, FLICKER, size=FRAMES, endpoint=True)
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), dtype=np.int64)
    for t, (x, y, side, angle) in enumerate(path):
        frames[t] = ground + color * _placed(glyph, x, y, side, angle)[..., None] // 255 + flicker[t]
    noise = rng.integers(-NOISE, NOISE, size=(2, *frames.shape), endpoint=True, dtype=np.int8).sum(axis=0, dtype=np.int64)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def _path(motion: str, rng: Rng) -> Path:
    """Where the digit is in each frame; all of it stays within the frame but for a quarter of its side."""
    side = np.full(FRAMES, rng.integers(SIZES[0] * UNIT, SIZES[1] * UNIT, endpoint=True))
    angle = np.full(FRAMES, rng.integers(-15, 15, endpoint=True))
    steps = np.arange(FRAMES)
    travel = rng.integers(TRAVEL[0] * UNIT, TRAVEL[1] * UNIT, endpoint=True)
    along = travel * steps // (FRAMES - 1)
    moved = rng.integers(-DRIFT * UNIT, DRIFT * UNIT, size=2, endpoint=True)[:, None] * steps // (FRAMES - 1)  # x, y
    if motion in ("left", "right"):
        moved[0] += along if motion == "right" else -along
    elif motion in ("up", "down"):
        moved[1] += along if motion == "down" else -along
    elif motion == "bounce":
        moved[rng.integers(2)] += _there_and_back(travel, rng)
    elif motion == "rotate":
        angle = angle + rng.choice((-1, 1)) * rng.integers(*TURN, endpoint=True) * steps // (FRAMES - 1)
    elif motion == "zoom":
        side = side * (100 + (rng.integers(*ZOOM, endpoint=True) - 100) * steps // (FRAMES - 1)) // 130
        side = side[::-1] if rng.integers(2) else side
    center = [_start(moved[i], side, size, rng) + moved[i] for i, size in enumerate((WIDTH, HEIGHT))]
    return np.stack([*center, side, angle], axis=1)


def _there_and_back(travel: int, rng: Rng) -> np.ndarray:
    """(FRAMES,): from wall to wall and back, so that any two thirds of a clip hold a turn."""
    period = FRAMES * 3 // 4
    phase = (np.arange(FRAMES) + rng.integers(period)) % period
    return travel * np.minimum(phase, period - phase) * 2 // period


def _start(moved: np.ndarray, side: np.ndarray, size: int, rng: Rng) -> int:
    """A first position of the center from which no frame loses more than a quarter of the digit's side."""
    low, high = (side // 4 - moved).max(), (size * UNIT - side // 4 - moved).min()
    return int(rng.integers(low, high, endpoint=True)) if low < high else int(low + high) // 2


def _ground(digits: np.ndarray, index: int, rng: Rng) -> np.ndarray:
    """Soft blotches around one color, with pieces of other digits on them: what does not move."""
    color = rng.integers(*PAPER, endpoint=True) + rng.integers(-TINT, TINT, size=3, endpoint=True)
    blotches = color + rng.integers(-BLOTCH, BLOTCH, size=(5, 6, 3), endpoint=True)
    image = Image.fromarray(np.clip(blotches, 0, 255).astype(np.uint8))
    ground = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.int64).copy()
    for _ in range(rng.integers(*FRAGMENTS, endpoint=True)):
        other = (index + rng.integers(1, len(digits))) % len(digits)
        x, y = rng.integers(0, WIDTH * UNIT), rng.integers(0, HEIGHT * UNIT)
        side, angle = rng.integers(SIZES[0] * UNIT // 2, SIZES[1] * UNIT), rng.integers(360)
        ink = _placed(_enlarged(digits[other]), x, y, side, angle)
        ground += rng.choice((-1, 1)) * rng.integers(*CLUTTER, endpoint=True) * ink[..., None] // 255
    return ground


def _enlarged(digit: np.ndarray) -> np.ndarray:
    """(GLYPH, GLYPH) int64 in 0..255; smooth, so that sampling it leaves no steps."""
    return np.asarray(Image.fromarray(digit).resize((GLYPH, GLYPH), Image.Resampling.BICUBIC), dtype=np.int64)


def _placed(glyph: np.ndarray, x: int, y: int, side: int, angle: int) -> np.ndarray:
    """How much ink lies on each pixel, 0..255: the glyph `side` 256ths of a pixel wide, turned by `angle` about its center (x, y)."""
    cos, sin = (round(f(math.radians(int(angle))) * 4096) for f in (math.cos, math.sin))
    down = np.arange(HEIGHT)[:, None] * UNIT + UNIT // 2 - int(y)
    across = np.arange(WIDTH)[None, :] * UNIT + UNIT // 2 - int(x)
    u, v = (cos * across + sin * down, cos * down - sin * across)  # 4096ths of 256ths of a pixel
    column, row = ((w * GLYPH) // (int(side) * 4096) + GLYPH // 2 for w in (u, v))
    inside = (column >= 0) & (column < GLYPH) & (row >= 0) & (row < GLYPH)
    return np.where(inside, glyph[row.clip(0, GLYPH - 1), column.clip(0, GLYPH - 1)], 0)
