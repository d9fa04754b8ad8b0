"""Clips decoded a second by the loader over a plain full decode, and clips trained on a second over torchvision's r3d_18.

    python -m benchmarks.video_speed [--rounds 9]

One thread, processor time; rounds alternate, and the figure is the median over rounds of the ratio of neighboring rounds.
Decoding: clips as Kinetics has them, 10 s of 340x256 at 30 frames a second in H.264 with x264's own settings, and 8
frames 8 apart of each, scaled and cut, as the recipe slow_8x8 says, against all frames as arrays. Training: the step
loop of normbench/, equal weights and batches. Writes build/benchmarks/video_speed.json.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
import torchvision

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.config.tasks import read_task
from normbench.core.files import write_json
from normbench.training.classification import mixer
from normbench.training.loop import Training, fit
from tasks.kinetics import networks
from tasks.kinetics.batches import Decoded, Files
from tasks.kinetics.index import Clip
from tasks.kinetics.recipe import Recipe as ClipRecipe
from tasks.kinetics.sampling import training_views
from tasks.kinetics.video import decoder, read_header

VIDEOS, WIDTH, HEIGHT, SECONDS, RATE = 8, 340, 256, 10, 30
STEPS, BATCH, SHAPE = 4, 2, (3, 8, 56, 56)


def record(path: Path, seed: int) -> None:
    """A texture that a camera pans over, with a patch that moves across it."""
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(0, 256, (50, 60, 3)), np.ones((12, 12, 1))).astype(np.uint8)
    patch = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for t in range(SECONDS * RATE):
            frame = ground[t // 2 : t // 2 + HEIGHT, t : t + WIDTH].copy()
            frame[100:160, t % (WIDTH - 60) : t % (WIDTH - 60) + 60] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def ours(folder: Path, clips: list[Clip], epoch: int) -> float:
    """Clips a second of the loader's own work, at times and sizes drawn for `epoch`."""
    recipe = ClipRecipe(**read_task("kinetics").recipes["slow_8x8"])
    decoded = Decoded(Files(folder, clips), clips, training_views(recipe, seed=0))
    began = time.process_time()
    for index in range(len(clips)):
        x, _ = decoded[epoch, index]
        assert x.shape == (1, 3, 8, 224, 224)
    return len(clips) / (time.process_time() - began)


def plain(folder: Path, clips: list[Clip]) -> float:
    """Clips a second of PyAV's own reading of all frames, which torchvision's read_video did too while it had one."""
    began = time.process_time()
    for clip in clips:
        with av.open(str(folder / clip.path)) as container:
            container.streams.video[0].codec_context.thread_count = 1
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == SECONDS * RATE
    return len(clips) / (time.process_time() - began)


def networks_to_compare() -> tuple[torch.nn.Module, torch.nn.Module]:
    """Ours and torchvision's with equal weights; the loop finds on torchvision's what it asks a network for."""
    torch.manual_seed(0)
    method = load_method("batch_norm")
    theirs = torchvision.models.video.r3d_18(num_classes=400)
    mine = networks.build(read_task("kinetics").models["r3d18"], method, method.params(), num_classes=400, frames=SHAPE[1], crop=SHAPE[2])
    mine.load_state_dict(dict(zip(mine.state_dict(), (v.clone() for v in theirs.state_dict().values()), strict=True)))
    theirs.sites, theirs.method, theirs.method_params = [], method, method.params()
    x = torch.randn(BATCH, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(mine.eval()(x), theirs.eval()(x))
    return mine, theirs


def trained(model: torch.nn.Module) -> float:
    """Clips a second of the step loop."""
    recipe = Recipe(steps=STEPS, batch_size=BATCH, lr=1e-4)
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(BATCH, *SHAPE, generator=generator), torch.randint(400, (BATCH,), generator=generator)

    def batches(_start: int):
        while True:
            yield batch

    parts = {"batches": batches, "evaluate": lambda network: {}, "mix": mixer(recipe, 0)}
    began = time.process_time()
    fit(Training(model=model, recipe=recipe, device=torch.device("cpu"), total_steps=STEPS, epoch_steps=STEPS, **parts))
    return STEPS * BATCH / (time.process_time() - began)


def compared(name: str, mine: Callable[[int], float], other: Callable[[int], float], rounds: int) -> dict:
    """Alternating rounds, the first of each side not counted."""
    mine(0), other(0)
    pairs = []
    for turn in range(1, rounds + 1):
        first = other(turn) if turn % 2 else None
        speed = mine(turn)
        pairs.append((speed, first or other(turn)))
    ratios = sorted(a / b for a, b in pairs)
    found = {"ratio": statistics.median(ratios), "ratios": ratios}
    found |= {"ours": statistics.median(a for a, _ in pairs), "other": statistics.median(b for _, b in pairs)}
    print(
        f"{name}: {found['ratio']:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}); {found['ours']:.2f} against {found['other']:.2f} clips/s",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results: dict = {"decoder": decoder(), "torchvision": torchvision.__version__}
    with tempfile.TemporaryDirectory() as name:
        folder, clips = Path(name), []
        for i in range(VIDEOS):
            record(folder / f"{i}.mp4", i)
            header = read_header(folder / f"{i}.mp4")
            clips.append(Clip(f"{i}.mp4", 0, header.frames, header.seconds, header.size))
        results["decoded"] = compared("decoded", lambda turn: ours(folder, clips, turn), lambda _: plain(folder, clips), args.rounds)
    mine, theirs = networks_to_compare()
    results["trained"] = compared("trained", lambda _: trained(mine), lambda _: trained(theirs), args.rounds)
    write_json(Path("build/benchmarks/video_speed.json"), results)


if __name__ == "__main__":
    main()
