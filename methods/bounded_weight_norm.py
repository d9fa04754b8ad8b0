"""Bounded weight normalization: w_i = rho v_i / ||v_i||, with mean-only batch normalization y = x - mean + b.

v: raw weight (C_out, ...), w: the weight used; ||v_i|| is over all but the output channel. All layers but the
    last linear one, as in the released code.
rho: shape (), one for each layer and never changed: its initial norm, ||v||_F / sqrt(C_out) at first.
gains: "none" is the equation above; "sphere" has learned gains g (C_out, 1, ...) of bounded norm,
    w_i = rho (g_i / ||g||) v_i / ||v_i|| with g_i = ||v_i|| at first and rho the first ||g||.
mean_only_batch_norm: at the norm sites, the mean over batch and positions per channel is subtracted, in
    evaluation its running mean (torch's momentum); b (C,) is learned. Without, convolutions have biases.

The paper's equation has no gains; the released code (eladhoffer/norm_matters, models/bwn.py) is "sphere". In that code
the momentum of 0.1 is the share of the old running mean; here it is the share of the new one. Weight decay on v
would change nothing but the effective step; the released recipe has none.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from normbench.hooks.reparametrization import BoundedWeightNorm, MeanOnlyBatchNorm, reparametrize, with_bias
from normbench.hooks.residual import classifies

CITE = "Hoffer, Banner, Golan and Soudry, NeurIPS 2018, arXiv:1803.01814"


@dataclass(frozen=True, kw_only=True)
class Params:
    gains: Literal["none", "sphere"] = "none"
    mean_only_batch_norm: bool = True
    momentum: float = 0.1

    def __post_init__(self):
        if self.gains not in ("none", "sphere"):
            raise ValueError(f"gains must be 'none' or 'sphere', got {self.gains!r}")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, got {self.momentum!r}")


def weight(site, p, layer):
    if classifies(site):
        return None
    layer = layer if p.mean_only_batch_norm else with_bias(layer)
    return reparametrize(layer, BoundedWeightNorm(layer.weight, gains=p.gains == "sphere"))


def norm(site, p):
    return MeanOnlyBatchNorm(site, momentum=p.momentum) if p.mean_only_batch_norm else None


def reference(site, p, state, x):
    if site.kind == "norm":
        return x - x.mean(site.reduce_dims, keepdim=True) + state["bias"].view(site.shape)
    rho = state["parametrizations.weight.0.rho"]
    if p.gains == "none":
        return torch.stack([rho * v / (v * v).sum().sqrt() for v in x])
    gain = state["parametrizations.weight.0.gain"]
    length = (gain * gain).sum().sqrt()
    return torch.stack([rho * g / length * v / (v * v).sum().sqrt() for g, v in zip(gain, x, strict=True)])
