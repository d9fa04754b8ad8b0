"""Video files through PyAV: what the header of one says, the frames that are wanted of it, and writing one that comes out alike.

Frames are (T, H, W, 3) uint8, RGB, as a player shows them. Times are seconds from the first frame.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import Interpolation, VideoReformatter

SOON = 1e-3  # seconds by which two clocks may differ; frames are at least four times as far apart
# swscale rounds alike on every processor only where it is told to.
SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# One quantizer for all frames and nothing decided by rates: what is left in the encoder is integer arithmetic.
ENCODERS = {
    "libx264": {"qp": "18", "preset": "veryfast", "x264-params": "threads=1:bframes=0:keyint=10:scenecut=0:aq-mode=0:mbtree=0:weightp=0"},
    "mpeg4": {"qmin": "3", "qmax": "3", "g": "10"},
}


class Unreadable(Exception):
    """A file of which no clip can be had; its text is the reason."""


@dataclass(frozen=True)
class Header:
    """frames: how many there are. seconds: when the last one is shown. size: bytes of the file."""

    frames: int
    seconds: float
    size: int


def decoder() -> str:
    """What decodes here, with versions."""
    return f"PyAV {av.__version__}, libavcodec {'.'.join(map(str, av.library_versions['libavcodec']))}"


def encoder() -> str:
    """The encoder that embedded clips are written with: H.264 where this build of PyAV has it, else MPEG-4."""
    return next(name for name in ENCODERS if name in av.codecs_available)


def read_header(path: Path) -> Header:
    """Header of a video file. Raises Unreadable for what is no video, has none of its frames, or ends before they do."""
    with _opened(path) as (_, stream):
        size, entries = os.path.getsize(path), stream.index_entries
        if len(entries) and (lacking := entries[-1].pos + entries[-1].size - size) > 0:
            raise Unreadable(f"is cut short: {lacking} bytes are missing at its end")
        frames, rate = stream.frames or len(entries), stream.average_rate
        if not frames or not rate or not stream.duration:
            raise Unreadable("has no frames")
        return Header(frames, max(0.0, float(stream.duration * stream.time_base - 1 / rate)), size)


def read_frames(path: Path, times: Sequence[float], short_side: int | None = None) -> np.ndarray:
    """The frame that is shown at each of `times` (ascending); behind the last frame that one. Decodes only what leads to them.

    short_side: pixels of the shorter side, to which frames are scaled; None: as they are. Raises Unreadable.
    """
    pictures: list[np.ndarray] = []
    with _opened(path) as (container, stream):
        scaler, shown, picture = VideoReformatter(), None, None
        for at, frame in _from(container, stream, times[0]):
            while shown is not None and len(pictures) < len(times) and at > times[len(pictures)] + SOON:
                picture = _picture(shown, short_side, scaler) if picture is None else picture
                pictures.append(picture)
            if len(pictures) == len(times):
                break
            shown, picture = frame, None
        if shown is None:
            raise Unreadable("has no frames")
        if len(pictures) < len(times):
            pictures += [_picture(shown, short_side, scaler)] * (len(times) - len(pictures))
    return np.stack(pictures)


def write_video(path: Path, frames: np.ndarray, rate: int) -> None:
    """An MP4 of `frames` at `rate` frames a second, the same bytes from the same encoder."""
    name = encoder()
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(name, rate=rate, options=ENCODERS[name])
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= Flags.bitexact
        scaler = VideoReformatter()  # with threads, each picture would wait for as many as there are cores to start
        for frame in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame))
            picture = scaler.reformat(frame, format="yuv420p", interpolation=SCALING, threads=1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its first video stream; whatever FFmpeg finds wrong in it inside is Unreadable."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Unreadable("has no video stream")
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1  # the workers are what is parallel, also where `threads=1` stands
            yield container, stream
    except (av.error.FFmpegError, OSError, ValueError, EOFError) as error:
        raise Unreadable(f"cannot be decoded ({getattr(error, 'strerror', None) or error})") from error


def _from(container: av.container.InputContainer, stream: av.VideoStream, time: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds from the first frame, frame) from the keyframe before `time` on."""
    start, base = stream.start_time or 0, float(stream.time_base)
    if time > 0:
        container.seek(start + int(time / base), stream=stream)
    for frame in container.decode(stream):
        if frame.pts is None:
            raise Unreadable("has a frame without a time")
        yield (frame.pts - start) * base, frame


def _picture(frame: av.VideoFrame, short_side: int | None, scaler: VideoReformatter) -> np.ndarray:
    """(H, W, 3), scaled, and turned where the file says that its frames lie on their side."""
    if frame.is_corrupt:
        raise Unreadable(f"is damaged: the frame at {frame.time:.2f} s is incomplete")
    width, height = frame.width, frame.height
    if short_side is not None:
        width, height = (round(side * short_side / min(width, height)) for side in (width, height))
    picture = scaler.reformat(frame, width=width, height=height, format="rgb24", interpolation=SCALING, threads=1).to_ndarray()
    return np.rot90(picture, round(frame.rotation / 90)) if frame.rotation else picture
