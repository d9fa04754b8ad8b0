"""Time to measure an untrained network with all quantities, over a plain forward and backward pass of it.

    python -m benchmarks.measuring [--rounds 9]

A residual network of 56 layers (9 basic blocks in each of three stages, width 16, batch norm), a batch of 64. Rounds
alternate, one thread; the figure is the median over rounds of the ratio of neighboring rounds.
Writes build/benchmarks/measuring.json.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from normbench import load_method
from normbench.core.files import write_json
from normbench.diagnostics.propagation import measure
from normbench.models import build_model

SIDES = (32, 8)
BATCH = 64


def plain(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Seconds of a forward and a backward pass."""
    model.train()
    began = time.perf_counter()
    F.cross_entropy(model(x), y).backward()
    seconds = time.perf_counter() - began
    model.zero_grad(set_to_none=True)
    return seconds


def measured(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Seconds of the same with every quantity read."""
    began = time.perf_counter()
    measure(model, x, y)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for side in SIDES:
        torch.manual_seed(0)
        method = load_method("batch_norm")
        model = build_model({"family": "resnet", "depth": 56}, method, num_classes=10, in_shape=(3, side, side))
        x, y = torch.randn(BATCH, 3, side, side), torch.randint(10, (BATCH,))
        plain(model, x, y), measured(model, x, y)
        pairs = []
        for turn in range(args.rounds):
            first = plain(model, x, y) if turn % 2 else None
            mine = measured(model, x, y)
            pairs.append((mine, first or plain(model, x, y)))
        ours, bare = (statistics.median(p[i] for p in pairs) for i in (0, 1))
        ratio = statistics.median(a / b for a, b in pairs)
        results[f"{side}x{side}"] = {"ratio": ratio, "measured_ms": 1e3 * ours, "plain_ms": 1e3 * bare}
        print(f"56 layers, {side}x{side}: {ratio:.2f} ({1e3 * ours:.0f} ms against {1e3 * bare:.0f} ms)", flush=True)
    write_json(Path("build/benchmarks/measuring.json"), results)


if __name__ == "__main__":
    main()
