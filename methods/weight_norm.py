"""Weight normalization: w_i = g_i v_i / ||v_i||, with mean-only batch normalization y = x - mean + b.

v: raw weight (C_out, ...), w: the weight used; ||v_i|| is over all but the output channel. g: (C_out, 1, ...), learned.
    All layers but the last linear one, as in the released code of both comparisons below.
init: the first g. "data": so that each layer's outputs have deviation 1 over the first batch (and without
    mean-only batch norm mean 0, by the convolutions' biases), section 3 of the paper; before any batch
    is seen and with "norm" ||v_i||, which leaves the network as it was; with "one" 1.
mean_only_batch_norm: at the norm sites, the mean over batch and positions per channel is subtracted, in
    evaluation its running mean (torch's momentum); b (C,) is learned. Without, convolutions have biases.
scaled_relu: sqrt(2 pi / (pi - 1)) (relu(x) - sqrt(1 / (2 pi))), mean 0 and deviation 1 for a Gaussian x
    (Arpit et al., arXiv:1603.01431).
skip_gain: None, or the first value of a learned scalar on each branch (SkipInit's remedy).

Beyond BatchNorm (arXiv:2106.05956) runs init "one", scaled_relu, and no mean-only batch norm; its code adds 1e-5
to ||v_i||, and its residual networks activate before the join. norm_matters' code uses mean-only batch norm whose
momentum of 0.1 is the share of the old mean; here it is the share of the new one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from normbench.hooks.reparametrization import MeanOnlyBatchNorm, WeightNorm, normalize_outputs, reparametrize, scaled_relu, with_bias
from normbench.hooks.residual import ScaledSum, classifies

CITE = "Salimans and Kingma, NeurIPS 2016, arXiv:1602.07868"
VARIANTS = [{"skip_gain": 0.0}]
SCALE, SHIFT = math.sqrt(2 * math.pi / (math.pi - 1)), math.sqrt(1 / (2 * math.pi))


@dataclass(frozen=True, kw_only=True)
class Params:
    mean_only_batch_norm: bool = True
    momentum: float = 0.1
    init: Literal["data", "norm", "one"] = "data"
    scaled_relu: bool = False
    skip_gain: float | None = None

    def __post_init__(self):
        if self.init not in ("data", "norm", "one"):
            raise ValueError(f"init must be 'data', 'norm' or 'one', got {self.init!r}")
        if not 0 < self.momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, got {self.momentum!r}")
        if self.skip_gain is not None and not math.isfinite(self.skip_gain):
            raise ValueError(f"skip_gain must be null or a number, got {self.skip_gain!r}")


def weight(site, p, layer):
    if classifies(site):
        return None
    layer = layer if p.mean_only_batch_norm else with_bias(layer)
    return reparametrize(layer, WeightNorm(layer.weight, unit_gain=p.init == "one"))


def norm(site, p):
    return MeanOnlyBatchNorm(site, momentum=p.momentum) if p.mean_only_batch_norm else None


def activation(site, p, act):
    return scaled_relu(site, act, SCALE, SHIFT) if p.scaled_relu else None


def join(site, p):
    return None if p.skip_gain is None else ScaledSum(site, gain="scalar", init=p.skip_gain)


def calibrate(model, sites, p, batches):
    if p.init == "data" and batches:
        normalize_outputs(model, sites, batches[0])


def reference(site, p, state, *tensors):
    if site.kind == "join":
        skip, branch = tensors
        return skip + state["gain"] * branch
    x = tensors[0]
    if site.kind == "activation":
        positive = torch.where(x > 0, x, 0)
        return (2 * math.pi / (math.pi - 1)) ** 0.5 * (positive - (2 * math.pi) ** -0.5)
    if site.kind == "norm":
        return x - x.mean(site.reduce_dims, keepdim=True) + state["bias"].view(site.shape)
    gain = state["parametrizations.weight.0.gain"]
    return torch.stack([g * v / (v * v).sum().sqrt() for g, v in zip(gain, x, strict=True)])
