"""What a few untrained networks say about one method: measured on noise, judged mode of failure by mode of failure.

Every network is measured with each of `SEEDS`; a quantity is the median, so a verdict is that of most seeds.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from normbench.config.tasks import load_adapter, read_task, recipe_schema
from normbench.config.tiers import read_tier
from normbench.core.errors import InputError
from normbench.diagnostics.probes import untouched
from normbench.diagnostics.propagation import Signal, measure
from normbench.hooks.builder import Refused
from normbench.hooks.methods import Method, load_method
from normbench.models import build_model

SEEDS = (0, 1, 2)
BATCH, SMALL = 64, 4
NARROW = "quick"  # the tier whose networks are as narrow: what it sets of a method (how many groups) holds here


@dataclass(frozen=True)
class Network:
    """layers: weight layers from input to scores of a residual network, convolutions of a plain one, as both are usually counted."""

    family: str
    layers: int
    model: str  # of the task's models
    size: dict[str, int]

    @property
    def title(self) -> str:
        return f"{self.family} {self.layers}"


NETWORKS = (
    *(Network("residual", 2 * blocks + 2, "chain", {"blocks": blocks}) for blocks in (8, 28, 100)),
    *(Network("plain", depth, "plain", {"depth": depth}) for depth in (10, 20)),
)


@dataclass(frozen=True)
class Mode:
    """A way to fail: `bound` is where it starts, upward or (above: False) downward. fatal: whether training fails of it.

    quantity: variance ratio (last block over first), signal left (standard deviation of the last block over the first's, or
    gradient norm of the first over the last's, whichever is smaller), cosine (mean, between samples behind the last activation),
    gradient norm (of the first layer's weights), fraction (of units that are zero on the batch), output change (of one sample's
    scores when it leaves its batch, relative to them).
    """

    quantity: str
    bound: float
    above: bool = True
    fatal: bool = True

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.above else value <= self.bound  # nan: no


# All thresholds, each with its reason. They were checked on arms of the quick tier (digits, seed 0), which are few and small.
MODES = {
    # With a norm in each branch the variance grows like the number of blocks, to about 50 at 100 of them; without it doubles
    # with each block. 1000 is far from the first and reached by the second within 10 to 20 blocks.
    "explodes": Mode("variance ratio", 1e3),
    # Where one end of the network sees 1% of what the other does, no learning rate suits both.
    "vanishes": Mode("signal left", 1e-2, above=False),
    # Noise enters with similarity 0. Batch statistics keep it near 0.4 at any depth; without them it rises with depth. Plain
    # networks of 20 layers that are above 0.85 on noise are above 0.9 on digits, which resemble each other, and most fail there.
    "collapses samples": Mode("cosine", 0.85),
    # A first step at the usual rate 0.1 then moves the first layer, whose weights have norm 6, by a sixth of it.
    "early gradients too large": Mode("gradient norm", 10.0),
    # Half of the width gone; trained networks start below 0.15.
    "dead units": Mode("fraction", 0.5),
    # In double precision rounding is 1e-10 of the output at most, also behind 100 blocks; batch statistics change it by 0.01 and more.
    "depends on batch size": Mode("output change", 1e-3, fatal=False),
}


@dataclass
class Finding:
    """One method on one network. values: mode -> median over seeds (nan: cannot be measured).

    factor: the most that variance or gradient ratio differ between batches of `BATCH` and of `SMALL`. refused: why there is nothing.
    """

    network: Network
    values: dict[str, float]
    factor: float = math.nan
    broken: str = ""
    refused: str = ""
    reopened: bool = False

    @property
    def trains(self) -> bool:
        return not self.refused and not any(mode.fatal and mode.holds(self.values[name]) for name, mode in MODES.items())


def find(name: str, task: str, folder: Path | None = None) -> tuple[dict[str, Any], list[Finding]]:
    """(params that differ from the method's defaults, a Finding for each of `NETWORKS`).

    name: of a method; folder: the only one to look for it in; task: that of untrained networks. Raises InputError with one sentence
    for a method that is misspelt or does not run.
    """
    method, adapter = load_method(name, folder), load_adapter(task)
    params = {key: value for at in read_tier(NARROW).tasks.values() for key, value in at.params.get(name, {}).items()}
    return params, [_finding(network, method, params, adapter, task) for network in NETWORKS]


def _finding(network: Network, method: Method, params: dict[str, Any], adapter: ModuleType, task: str) -> Finding:
    readings = []
    try:
        for seed in SEEDS:
            readings.append(_reading(network, method, params, adapter, task, seed))
    except Refused as reason:
        return Finding(network, {}, refused=str(reason))
    except InputError:
        raise
    except Exception as error:  # a method file that is wrong: whatever it raises is said in one sentence
        said = " ".join(str(error).split())
        raise InputError(f"{method.file}: {type(error).__name__} in the {network.title} network: {said}") from error
    values = {mode: _median([r.values[mode] for r in readings]) for mode in MODES}
    broken = next((r.broken for r in readings if r.broken), "")
    return Finding(network, values, _median([r.factor for r in readings]), broken, reopened=readings[0].reopened)


def _reading(network: Network, method: Method, params: dict[str, Any], adapter: ModuleType, task: str, seed: int) -> Finding:
    """One seed."""
    dataset = adapter.data.GAUSSIAN
    torch.manual_seed(seed)
    spec = {**read_task(task).models[network.model], **network.size}
    where = {"num_classes": adapter.data.num_classes(dataset), "in_shape": adapter.data.in_shape(dataset)}
    model = build_model(spec, method, method.params(**params), **where)
    reopened = _reopen(model)

    def batch(samples: int, number: int) -> tuple[Tensor, Tensor]:
        return adapter.data.batch(dataset, Path(), samples, number, seed, torch.device("cpu"))

    if "calibrate" in method.defined:
        samples = recipe_schema(task)(batch_size=BATCH).calibration_samples
        method.calibrate(model, model.sites, model.method_params, [batch(samples, adapter.CALIBRATION)[0]])
    x, y = batch(BATCH, adapter.measured(BATCH))
    whole, small = (measure(model, x[:n], y[:n], everything=False) for n in (BATCH, SMALL))
    values = _quantities(whole) | {"depends on batch size": alone(model, x[:SMALL])}
    return Finding(network, values, _factor(whole.metrics, small.metrics), whole.broken[1] if whole.broken else "", reopened=reopened)


def _reopen(model: nn.Module) -> bool:
    """Random weights for a classifier of zeros, behind which every gradient is zero until it has made its first step."""
    layer = [p.module for p in model.sites if p.site.kind == "weight"][-1]
    if not hasattr(layer, "in_features") or hasattr(layer, "parametrizations") or bool(layer.weight.any()):
        return False
    nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return True


def _quantities(signal: Signal) -> dict[str, float]:
    """mode -> what decides it. What overflowed is infinite, what lies behind an overflow is nan, a ratio without its metric has a zero."""
    m = signal.metrics
    variance = {row["k"]: row["value"] for row in signal.rows if row["quantity"] == "variance"}
    depth = signal.rows[0]["depth"] if signal.rows else 0
    if signal.broken is None:
        left = min(math.sqrt(m.get("variance_ratio", 0.0)), m.get("gradient_ratio", 0.0))
        gradient, growth = m["first_layer_gradient_norm"], m.get("variance_ratio", 0.0)
    else:
        forward = 1 in variance and depth in variance and variance[1] > 0
        growth = variance[depth] / variance[1] if forward else math.inf
        left, gradient = math.nan, math.inf if forward else math.nan
    similarity, dead = (m.get(key, math.nan) for key in ("penultimate_cosine_similarity", "dead_fraction_init"))
    return dict(zip(MODES, (growth, left, similarity, gradient, dead), strict=False))


@torch.no_grad()
def alone(model: nn.Module, x: Tensor) -> float:
    """How much the first of the samples x (N, ...) changes its scores when it is alone, relative to them in the batch.

    In training mode and double precision, in which the model stays. Infinite where one sample alone cannot pass; nan where the
    scores are not finite.
    """
    model, x = model.double(), x.double()
    with untouched(model):
        model.train()
        together = model(x)[:1]
        if not bool(torch.isfinite(together).all()):
            return math.nan
        try:
            single = model(x[:1])
        except (ValueError, RuntimeError):  # statistics of one value, which torch refuses
            return math.inf
    change = float((single - together).norm() / together.norm().clamp_min(torch.finfo(torch.float64).tiny))
    return change if math.isfinite(change) else math.inf


def _factor(whole: dict[str, float], small: dict[str, float]) -> float:
    logs = [abs(math.log(whole[k] / small[k])) for k in ("variance_ratio", "gradient_ratio") if whole.get(k) and small.get(k)]
    return math.exp(max(logs)) if logs else math.nan


def _median(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return median(known) if 2 * len(known) > len(values) else math.nan
