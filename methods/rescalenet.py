"""RescaleNet: y = sqrt((k - 1 + c) / (k + c)) x + m_k sqrt(1 / (k + c)) F_k(x), biases calibrated to minus the mean.

x, F_k(x), y: activations of one shape, the skip and the branch of block k of L, k from 1. The variance of x and F_k
    kept, y keeps it, and each branch ends with the same coefficient sqrt(1 / (L + c)) in the last sum.
c: "L" (the paper's), "L-1", "1", "sqrt(L)", "L^2" or a positive number.
multiplier: m_k, one at first and learned: "none" (1), "scalar" () or "vector" (C,). skip_multiplier: a learned
    scalar, one at first, on the skip too.
depth_scaled_init: the branch's coefficient is m_k / sqrt(L), and the rest of sqrt(1 / (k + c)) stands in the first
    weights: each of the m layers of the branch is multiplied by ((k + c) / L)^(-1/(2m)). Without, the
    coefficient is the whole m_k sqrt(1 / (k + c)). At the first step both are the same function.
Weights: N(0, 2/fan_in) in the stem and the branches; N(0, 1/fan_in) in shortcuts and the last layer. The weights of
    a plain network are left as they are.
bias: y = x + offset + b per channel, in front of each weight of a branch, shortcut or plain network (but its first),
    of the stem's activation, of the last pool and, behind a hidden linear layer, of the next. b (C,) is learned,
    0 at first; offset is minus the mean of x over the first `bias_batches` batches, each module behind seeing
    what those before it already subtract. Layers lose their own biases, but for the last linear one.

Paper and released code (hukkai/rescaling) differ: the code counts blocks from 0, which is c "L-1" here; while it
calibrates (8 batches) it trains, with b at a hundredth, where here nothing is trained; its weights
are also multiplied by sqrt(1 - drop_conv), which here they are not. Multipliers and biases take no decay in the
code, nor here.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from normbench.hooks.residual import CalibratedBias, ScaledSum, classifies, has_join, own_parameters, placed_modules

CITE = "Shao, Hu, Wang, Xue and Raj, NeurIPS 2020, Is normalization indispensable for training deep neural network?"
VARIANTS = [{"c": "L-1"}, {"c": "1"}, {"c": "sqrt(L)"}, {"c": "L^2"}, {"c": 2.5}]
DEPTH_RULES = {"L": lambda d: d, "L-1": lambda d: d - 1, "1": lambda d: 1, "sqrt(L)": math.sqrt, "L^2": lambda d: d**2}


@dataclass(frozen=True, kw_only=True)
class Params:
    c: float | str = "L"
    multiplier: Literal["none", "scalar", "vector"] = "scalar"
    skip_multiplier: bool = False
    depth_scaled_init: bool = True
    bias: bool = True
    bias_batches: int = 8

    def __post_init__(self):
        number = isinstance(self.c, int | float) and not isinstance(self.c, bool) and 0 < self.c < math.inf
        if not number and self.c not in DEPTH_RULES:
            raise ValueError(f"c must be a positive number or one of {', '.join(DEPTH_RULES)}, got {self.c!r}")
        if self.multiplier not in ("none", "scalar", "vector"):
            raise ValueError(f"multiplier must be 'none', 'scalar' or 'vector', got {self.multiplier!r}")
        if isinstance(self.bias_batches, bool) or not isinstance(self.bias_batches, int) or self.bias_batches < 0:
            raise ValueError(f"bias_batches must be a whole number from 0 up, got {self.bias_batches!r}")


def _k_plus_c(site, p):
    return site.k + (DEPTH_RULES[p.c](site.depth) if p.c in DEPTH_RULES else p.c)


def join(site, p):
    total = _k_plus_c(site, p)
    return ScaledSum(
        site,
        skip_scale=math.sqrt((total - 1) / total),
        branch_scale=math.sqrt(1 / (site.depth if p.depth_scaled_init else total)),
        gain=None if p.multiplier == "none" else p.multiplier,
        skip_gain=p.skip_multiplier,
    )


def bias(site, p):
    stands = {
        "weight": site.role in ("branch", "shortcut", "plain") or (site.role == "head" and site.follows == "activation"),
        "activation": site.role == "stem",
        "pool": True,
    }
    return CalibratedBias(site) if p.bias and stands.get(site.precedes, False) else None


@torch.no_grad()
def initialize(model, sites, p):
    residual = has_join(sites)
    for placed in sites:
        if placed.site.kind != "weight":
            continue
        if p.bias and not classifies(placed.site):
            placed.module.bias = None  # W (x + b) has one already
        if residual and (placed.site.role in ("stem", "branch", "shortcut") or classifies(placed.site)):
            _draw(placed.module.weight, placed.site, p)


def _draw(weight, site, p):
    nn.init.kaiming_normal_(weight, nonlinearity="relu" if site.role in ("stem", "branch") else "linear")
    if site.role == "branch" and p.depth_scaled_init:
        weight.mul_((_k_plus_c(site, p) / site.depth) ** (-0.5 / site.length))


@torch.no_grad()
def calibrate(model, sites, p, batches):
    biases, was_training = placed_modules(sites, CalibratedBias), model.training
    model.train()
    for module in biases:
        module.track(True)
    for batch in batches[: p.bias_batches] if biases else ():
        model(batch)
    for module in biases:
        module.track(False)
    model.train(was_training)


def groups(model, sites, p):
    return [{"params": own_parameters(sites, CalibratedBias, ScaledSum), "weight_decay": 0.0}]


def reference(site, p, state, *tensors):
    if site.kind == "bias":
        return tensors[0] + (state["offset"] + state["bias"]).view(site.shape)
    skip, branch = tensors
    c = {"L": site.depth, "L-1": site.depth - 1, "1": 1, "sqrt(L)": site.depth**0.5, "L^2": site.depth**2}.get(p.c, p.c)
    a, b = ((site.k - 1 + c) / (site.k + c)) ** 0.5, (1 / (site.depth if p.depth_scaled_init else site.k + c)) ** 0.5
    if p.multiplier != "none":
        b = b * state["gain"].view(site.shape if p.multiplier == "vector" else ())
    if p.skip_multiplier:
        a = a * state["skip_gain"]
    return a * skip + b * branch
