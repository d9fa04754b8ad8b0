"""Will this method train? What untrained networks say, in seconds.

    python -m normbench.diagnostics.predict --task propagation --methods my_norm

Prints one verdict for each way to fail, with the measured quantity and the threshold, and the depth up to which the method
should train. How right such predictions are is in build/<tier>/prediction.csv. Trains nothing and writes nothing.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from normbench.core.command import command
from normbench.core.formatting import joined, listed
from normbench.diagnostics.untrained import BATCH, MODES, NETWORKS, SEEDS, SMALL, Finding, Mode, find
from normbench.hooks.methods import method_names, read_method
from normbench.training.precision import set_arithmetic


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", required=True)
    parser.add_argument("--methods", nargs="*", default=[])
    args = parser.parse_args()
    console = Console(width=140, soft_wrap=True, highlight=False)
    names = listed(" ".join(args.methods)) or method_names()
    for name in names:  # a misspelt one is found before the others are measured
        read_method(name)
    set_arithmetic(threads=1)  # more gain nothing on networks this narrow
    for name in names:
        show(console, name, *find(name, args.task))


def show(console: Console, name: str, params: dict[str, Any], findings: list[Finding]) -> None:
    with_params = f" with {joined([f'{key} {value}' for key, value in params.items()])}" if params else ""
    console.print(f"\n[bold]{name}[/bold]{with_params}: untrained networks by number of layers, noise, {len(SEEDS)} seeds")
    if any(not f.refused for f in findings):
        console.print(grid(findings))
    for line in sentences(name, findings):
        console.print(line, markup=False)


def grid(findings: list[Finding]) -> Grid:
    """A row a mode: the verdict over all networks, then each network's, with the quantity behind it."""
    table = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in ("", "verdict", *(n.title for n in NETWORKS), "it is yes where"):
        table.add_column(head, no_wrap=True)
    for name, mode in MODES.items():
        values = [None if f.refused else f.values[name] for f in findings]
        any_yes = any(v is not None and mode.holds(v) for v in values)
        cells = ["refuses" if v is None else cell(mode, v) for v in values]
        table.add_row(name, _word(any_yes), *cells, f"{mode.quantity} {'≥' if mode.above else '≤'} {mode.bound:g}")
    return table


def cell(mode: Mode, value: float) -> str:
    """no 3.3, yes inf, - where nothing can be measured."""
    return "-" if math.isnan(value) else f"{_word(mode.holds(value))} {value:.2g}"


def sentences(name: str, findings: list[Finding]) -> Iterator[str]:
    """How deep the method should train, where a network overflows, what differs between batches, who refuses."""
    standing = [f for f in findings if not f.refused]
    for family in dict.fromkeys(n.family for n in NETWORKS):
        mine = [f for f in standing if f.network.family == family]
        if mine:
            yield f"{name} should train in {family} networks {reach(mine)}."
    for f in standing:
        if f.broken:
            yield f"{f.network.title}: {f.broken}."
    factors = [f.factor for f in standing if math.isfinite(f.factor)]
    if factors:
        most = f"{max(factors):.2g} at most"
        yield f"Ratios of variances and of gradients differ by a factor of {most} between batches of {SMALL} and of {BATCH} samples."
    if any(f.reopened for f in standing):
        yield "Its classifier starts at zero, so that no gradient passes before the first step: gradients are those of a random one."
    for reason in dict.fromkeys(f.refused for f in findings if f.refused):
        titles = joined([f.network.title for f in findings if f.refused == reason])
        yield f"{titles}: refused. {reason}"


def reach(mine: list[Finding]) -> str:
    """up to 58 layers, failing at 202 (explodes): of one family's findings, from the shallowest."""
    deepest = None
    for f in mine:
        if not f.trains:
            fails = [name for name, mode in MODES.items() if mode.fatal and mode.holds(f.values[name])]
            ends = f"at {f.network.layers} ({joined(fails)})"
            return f"up to {deepest} layers and fail {ends}" if deepest else f"at no depth tried: it fails {ends}"
        deepest = f.network.layers
    return f"up to {deepest} layers, the deepest tried"


def _word(yes: bool) -> str:
    return "[red]yes[/red]" if yes else "no"


if __name__ == "__main__":
    sys.exit(main())
