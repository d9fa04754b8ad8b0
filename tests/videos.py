"""Real video files for tests, each frame of one gray, so that what was decoded tells which frame it is."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tasks.kinetics.layout import COLUMNS

GRAY = 9  # between a frame and the next


def grays(count: int, height: int = 24, width: int = 32) -> np.ndarray:
    """(count, height, width, 3): frame i is 10 + 9 i."""
    return np.broadcast_to((10 + GRAY * np.arange(count, dtype=np.uint8))[:, None, None, None], (count, height, width, 3))


def numbers(frames: np.ndarray) -> list[int]:
    """Which frame of `grays` each is; codecs leave a gray within two levels."""
    levels = frames.reshape(len(frames), -1).astype(float)
    assert np.ptp(levels, axis=1).max() <= 4
    return [round((level - 10) / GRAY) for level in levels.mean(1)]


def write(
    path: Path, frames: np.ndarray, rate: int = 10, codec: str = "libx264", pts: list[int] | None = None, front: bool = False
) -> Path:
    """An MP4. pts: when each frame is shown, in hundredths of a second. front: the index stands in front of the frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"} if front else {}) as container:
        options = {"qp": "10", "x264-params": "keyint=8:scenecut=0"} if codec == "libx264" else {"qmin": "2", "qmax": "2", "g": "8"}
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        if pts:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 100)
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))
            if pts:
                frame.pts, frame.time_base = pts[i], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path: Path) -> Path:
    """The file, now saying that its frames are to be turned by a right angle: the corner at the top left goes to the top right."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    # The matrix (a b u, c d v, x y w) takes a point (p, q) to (a p + c q + x, b p + d q + y); q points down.
    matrix = [0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30]
    content[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(content)
    return path


def damaged(path: Path) -> Path:
    """The file with its frames overwritten, its index whole."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = b"\xff" * (end - start)
    path.write_bytes(content)
    return path


def kinetics(folder: Path, classes: dict[str, int], val: int = 1, flat: bool = False, listed: bool = True) -> Path:
    """A copy in the usual layout. classes: name -> training clips. flat: no folders by class. listed: with CVDF's lists."""
    for split in ("train", "val"):
        rows = [",".join([*COLUMNS, "split"])]
        for label, count in classes.items():
            for n in range(count if split == "train" else val):
                video = f"{split[0]}{label[:3]}{n:03d}".ljust(11, "_")
                at = folder / split if flat else folder / split / label
                write(at / f"{video}_000003_000013.mp4", grays(12))
                rows.append(f'"{label}",{video},3,13,{split}')
        if listed:
            (folder / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return folder
