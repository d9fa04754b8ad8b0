"""Scaled weight standardization: w_i = gamma g_i (v_i - mean(v_i)) / (sigma(v_i) sqrt(N)).

v: raw weight (C_out, ...), w: the weight used; mean and sigma (biased) are over the N raw weights of an output
    channel. All layers but the last linear one. g: (C_out, 1, ...), learned, one at first.
gamma: sqrt(2) / sqrt(1 - 1/pi), the inverse deviation of relu(x) for a Gaussian x, so that the variance is kept;
    NFNets' code and timm have 1.7139588594436646, measured on samples.
bound, eps: how the denominator is kept from zero, which differs between the codes in use:
    "deviation" (sigma + eps) sqrt(N), Beyond BatchNorm's code with eps 1e-5;
    "variance"  sqrt((sigma^2 + eps) N), as in batch norm on the weights, with eps 1e-6 in timm;
    "sum"       sqrt(max(sigma^2 N, eps)), NFNets' code with eps 1e-4.
bias: convolutions have one (C_out,), zero at first, as in Beyond BatchNorm's code.
skip_gain: None, or the first value of a learned scalar on each branch (SkipInit's remedy).

The paper has gamma in the activation or the weight alike; here it is in the weight, as in Beyond BatchNorm's code.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from normbench.hooks.reparametrization import ScaledWeightStandardization, reparametrize, with_bias
from normbench.hooks.residual import ScaledSum, classifies

CITE = "Brock, De and Smith, ICLR 2021, arXiv:2101.08692"
VARIANTS = [{"skip_gain": 0.0}]


@dataclass(frozen=True, kw_only=True)
class Params:
    gamma: float = 1.7128585504496627
    eps: float = 1e-5
    bound: Literal["deviation", "variance", "sum"] = "deviation"
    bias: bool = True
    skip_gain: float | None = None

    def __post_init__(self):
        if not self.gamma > 0:
            raise ValueError(f"gamma must be above 0, got {self.gamma!r}")
        if not self.eps >= 0:
            raise ValueError(f"eps must be 0 or more, got {self.eps!r}")
        if self.bound not in ("deviation", "variance", "sum"):
            raise ValueError(f"bound must be 'deviation', 'variance' or 'sum', got {self.bound!r}")
        if self.skip_gain is not None and not math.isfinite(self.skip_gain):
            raise ValueError(f"skip_gain must be null or a number, got {self.skip_gain!r}")


def weight(site, p, layer):
    if classifies(site):
        return None
    layer = with_bias(layer) if p.bias else layer
    return reparametrize(layer, ScaledWeightStandardization(layer.weight, gamma=p.gamma, eps=p.eps, bound=p.bound))


def join(site, p):
    return None if p.skip_gain is None else ScaledSum(site, gain="scalar", init=p.skip_gain)


def reference(site, p, state, *tensors):
    if site.kind == "join":
        skip, branch = tensors
        return skip + state["gain"] * branch
    gain = state["parametrizations.weight.0.gain"]
    return torch.stack([p.gamma * g * _standardized(v, p) for g, v in zip(gain, tensors[0], strict=True)])


def _standardized(v, p):
    n = v.numel()
    centered = v - v.sum() / n
    var = (centered * centered).sum() / n
    if p.bound == "deviation":
        return centered / (var.sqrt() + p.eps) / math.sqrt(n)
    if p.bound == "variance":
        return centered / ((var + p.eps) * n).sqrt()
    return centered / max((var * n).item(), p.eps) ** 0.5
