"""L-infinity batch normalization: y = weight (x - mean) / (c_n max|x - mean| + eps) + bias, per channel.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); mean, max|x - mean|, weight, bias: (C,), over batch and positions.
c_n = (1 + sqrt(pi ln 4)) / (2 sqrt(2 ln n)), n values a channel: with it the denominator is about the standard
deviation where x is Gaussian, whose largest of n values grows as sqrt(2 ln n).

Source: Hoffer et al., arXiv:1803.01814; the constant is that of its code (models/lp_norm.py), which has
momentum as the share of the old value, keeps the running inverse of the denominator and starts it at 0.

The usual mistake: forgetting that c_n depends on the batch: a smaller last batch has another one.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch

from normbench.core.validation import not_negative, within
from normbench.hooks.norms import DeviationNorm, gaussian_maximum, scaled_affine, widened
from normbench.hooks.residual import other_dims, per_channel

CITE = "Hoffer, Banner, Golan and Soudry, NeurIPS 2018, arXiv:1803.01814"


@dataclass(frozen=True, kw_only=True)
class Params:
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        within("momentum", self.momentum, 0, 1)
        not_negative("eps", self.eps)


def _normalize(x, weight, bias, *, eps):
    wide, dims = widened(x), other_dims(x, 1)
    mean = wide.mean(dims)
    largest = torch.maximum(wide.amax(dims) - mean, mean - wide.amin(dims))  # max|x - mean| without a tensor of |x - mean|
    deviation = largest * gaussian_maximum(x.numel() // x.shape[1])
    factor = per_channel(1 / (deviation + eps), wide, 1)
    return scaled_affine(wide - per_channel(mean, wide, 1), factor, weight, bias, 1).to(x.dtype), mean, deviation


def norm(site, p):
    return DeviationNorm(site, partial(_normalize, eps=p.eps), momentum=p.momentum, eps=p.eps, affine=p.affine)


def reference(site, p, state, x):
    dims = tuple(d for d in range(x.ndim) if d != site.channel_dim % x.ndim)
    n = x.numel() // site.features
    centered = x - x.mean(dims, keepdim=True)
    constant = 0.5 * (1 + (math.pi * math.log(4)) ** 0.5) / (2 * math.log(n)) ** 0.5
    y = centered / (constant * centered.abs().amax(dims, keepdim=True) + p.eps)
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
