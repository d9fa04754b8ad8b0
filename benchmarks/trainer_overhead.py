"""Step time of NormBench's trainer over a bare PyTorch loop on the same model, data and optimizer.

    python -m benchmarks.trainer_overhead [--rounds 15] [--steps 120]

One thread; the loops take turns of ten steps, and the figure is the median over rounds of the ratio of a round's two sums.
Writes build/benchmarks/trainer_overhead.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.core.files import write_json
from normbench.models import build_model
from normbench.training.classification import mixer
from normbench.training.loop import Training, fit

MODELS = {
    "wide_resnet 16 layers, width 8, 8x8": ({"family": "wide_resnet", "depth": 16, "width": 1, "base_width": 8}, 8),
    "wide_resnet 100 layers, width 8, 8x8": ({"family": "wide_resnet", "depth": 100, "width": 1, "base_width": 8}, 8),
    "resnet 2x2x2 bottlenecks, width 8, 8x8": (
        {"family": "resnet", "layers": [2, 2, 2], "block": "bottleneck", "width": 8, "stem": "cifar"},
        8,
    ),
}
BATCH = 64
TURN = 10  # steps; those of a round are a multiple of it


def build(spec: dict, side: int) -> torch.nn.Module:
    torch.manual_seed(0)
    method = load_method("batch_norm")
    return build_model(spec, method, method.params(), num_classes=10, in_shape=(3, side, side))


def batches(side: int):
    generator = torch.Generator().manual_seed(0)
    data = [(torch.randn(BATCH, 3, side, side, generator=generator), torch.randint(10, (BATCH,), generator=generator)) for _ in range(4)]
    while True:
        yield from data


def bare(spec: dict, side: int) -> Callable[[int], None]:
    """steps(n) takes n steps in the loop that a tutorial would write, with the loss read each step."""
    model, source = build(spec, side), batches(side)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()

    def steps(count: int) -> None:
        for _ in range(count):
            x, y = next(source)
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()

    return steps


def both(spec: dict, side: int, steps: int) -> tuple[float, float]:
    """Seconds a step of ours and of the bare loop, which takes its turns where ours asks for a batch.

    Turns of a few steps share whatever else the machine does meanwhile; rounds of seconds do not.
    """
    recipe, bare_steps, spent = Recipe(steps=steps, batch_size=BATCH, lr=0.01), bare(spec, side), 0.0

    def turns() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal spent
        for step, batch in enumerate(batches(side)):
            if step % TURN == 0:
                began = time.perf_counter()
                bare_steps(TURN)
                spent += time.perf_counter() - began
            yield batch

    trained = fit(
        Training(
            model=build(spec, side),
            recipe=recipe,
            device=torch.device("cpu"),
            total_steps=steps,
            epoch_steps=steps,
            batches=lambda start: turns(),
            evaluate=lambda network: {},
            mix=mixer(recipe, 0),
        )
    )
    return (trained.seconds - spent) / steps, spent / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=120)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, (spec, side) in MODELS.items():
        both(spec, side, TURN)
        pairs = [both(spec, side, args.steps) for _ in range(args.rounds)]
        ratios = [a / b for a, b in pairs]
        results[name] = {
            "ratio": statistics.median(ratios),
            "ratios": sorted(ratios),
            "ours_ms": 1e3 * statistics.median(a for a, _ in pairs),
            "bare_ms": 1e3 * statistics.median(b for _, b in pairs),
        }
        r = results[name]
        print(f"{name}: {r['ratio']:.3f} (ours {r['ours_ms']:.1f} ms, bare {r['bare_ms']:.1f} ms a step)", flush=True)
    write_json(Path("build/benchmarks/trainer_overhead.json"), results)


if __name__ == "__main__":
    main()
