"""Forward and backward time of every norm at (32, 64, 56, 56) on one thread, over nn.BatchNorm2d of the same run.

    python -m benchmarks.norm_speed [--rounds 15] [--methods l1_batch_norm group_norm]

Methods are found by their files: those that define `norm` and put a module at a site of 64 features. The layers take turns,
round by round, so that a busy machine is busy for all of them, and medians of the processor's time are compared (on
one thread it is the wall time of an idle machine). Eager layers are divided by
the eager nn.BatchNorm2d and compiled ones by both the eager and the compiled one. Prints a Markdown table and writes
build/benchmarks/norm_speed.json.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import nn

from normbench import load_method
from normbench.core.errors import InputError
from normbench.hooks.methods import method_names, read_method
from normbench.hooks.sites import Site

SHAPE = (32, 64, 56, 56)
BASELINE = "nn.BatchNorm2d"


def find_layers(names: list[str] | None) -> dict[str, nn.Module]:
    """{method: module} for every method that stands at a norm site of this shape."""
    site = Site("norm", "norm", SHAPE[1], "NCHW", role="branch", follows="weight", precedes="activation")
    layers: dict[str, nn.Module] = {}
    for name in names or method_names():
        if "norm" not in read_method(name).hooks:
            continue
        method = load_method(name)
        p = method.params()
        module = None if method.refuse(site, p) else method.norm(site, p)
        if module is not None and not isinstance(module, nn.Identity):
            layers[name] = module
    if not layers:
        raise InputError(
            f"benchmarks/norm_speed.py: none of {', '.join(names or method_names())} puts a norm at a site of {SHAPE[1]} features"
        )
    return layers


def step(layer: nn.Module, x: torch.Tensor, g: torch.Tensor) -> tuple[float, float]:
    """(forward, backward) processor seconds of one training step."""
    x.grad = None
    start = time.process_time()
    y = layer(x)
    middle = time.process_time()
    y.backward(g)
    return middle - start, time.process_time() - middle


def measure(layers: dict[str, nn.Module], rounds: int) -> dict[str, dict[str, float]]:
    """{layer: {forward_ms, backward_ms, total_ms}}: medians over the rounds; the first two steps warm up and do not count."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(SHAPE, generator=generator).requires_grad_()
    g = torch.randn(SHAPE, generator=generator)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in layers}
    for number in range(rounds + 2):
        for name, layer in layers.items():
            spent = step(layer, x, g)
            if number >= 2:
                times[name].append(spent)
    return {name: _medians(spent) for name, spent in times.items()}


def _medians(spent: list[tuple[float, float]]) -> dict[str, float]:
    forward, backward = zip(*spent, strict=True)
    total = [a + b for a, b in spent]
    return {f"{k}_ms": 1e3 * statistics.median(v) for k, v in (("forward", forward), ("backward", backward), ("total", total))}


def table(rows: list[dict]) -> str:
    """Markdown: one row a method, its times in ms and the ratios."""
    lines = ["| method | eager ms | eager ratio | compiled ms | ratio over eager | ratio over compiled |", "|---|---:|---:|---:|---:|---:|"]
    for row in rows:
        numbers = " | ".join(
            f"{row[k]:.2f}" for k in ("eager_ms", "eager_ratio", "compiled_ms", "compiled_ratio", "compiled_ratio_compiled")
        )
        lines.append(f"| {row['method']} | {numbers} |")
    return "\n".join(lines)


def compare(times: dict[str, dict[str, float]], names: list[str]) -> list[dict]:
    """One row a method; ratios are over BASELINE, eager, and over BASELINE, compiled."""
    eager, compiled = times[BASELINE]["total_ms"], times[f"{BASELINE} compiled"]["total_ms"]
    rows = []
    for name in names:
        own, fast = times[name]["total_ms"], times[f"{name} compiled"]["total_ms"]
        ratios = {"eager_ratio": own / eager, "compiled_ratio": fast / eager, "compiled_ratio_compiled": fast / compiled}
        rows.append({"method": name, "eager_ms": own, "compiled_ms": fast, **ratios})
    return sorted(rows, key=lambda row: row["compiled_ms"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds that count")
    parser.add_argument("--methods", nargs="+", help="only these (default: every method with a norm)")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        layers = {BASELINE: nn.BatchNorm2d(SHAPE[1]), **find_layers(chosen.methods)}
    except InputError as error:
        sys.exit(str(error))
    names = list(layers)
    layers.update({f"{name} compiled": torch.compile(layer, fullgraph=True) for name, layer in list(layers.items())})
    times = measure(layers, chosen.rounds)
    rows = compare(times, names)
    print(table(rows))
    out = Path("build/benchmarks/norm_speed.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    out.write_text(json.dumps({"shape": SHAPE, "rounds": chosen.rounds, **machine, "rows": rows, "times": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
