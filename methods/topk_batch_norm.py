"""Top-k batch normalization: y = weight (x - mean) / (c_n mean of the k largest |x - mean| + eps) + bias, per channel.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); mean, weight, bias: (C,); the k largest (k = 10) are of the n values
of a channel over batch and positions, all of them where n < k. c_n = (1 + sqrt(pi ln 4)) / (2 sqrt(2 ln n)), as for the largest alone.

Source: Hoffer et al., arXiv:1803.01814, Top(k); the constant is that of its code (models/lp_norm.py). With
`smoothing` = beta (0.75 in its "ghost" variant) a batch is divided by beta times the last smoothed value plus 1 - beta times its
own; gradients pass through its own part. The code multiplies the remembered value by c_n again in each step and starts
it at 0; here it is remembered without c_n, and the first batch counts whole.

The usual mistake: a constant for k = 1 with a large k: the mean of many values is further below the largest.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import at_least, not_negative, within
from normbench.hooks.norms import DeviationNorm, gaussian_maximum, scaled_affine, widened
from normbench.hooks.residual import other_dims, per_channel

CITE = "Hoffer, Banner, Golan and Soudry, NeurIPS 2018, arXiv:1803.01814"
VARIANTS = [{"smoothing": 0.75}]


@dataclass(frozen=True, kw_only=True)
class Params:
    k: int = 10
    smoothing: float | None = None  # the share of the remembered value; None: each batch by its own
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        at_least("k", self.k, 1)
        if self.smoothing is not None:
            within("smoothing", self.smoothing, 0, 1)
        within("momentum", self.momentum, 0, 1)
        not_negative("eps", self.eps)


class TopKNormalize(nn.Module):
    """(x, weight, bias) -> (y, mean, deviation), x (N, C, ...); `smoothed` remembers, 0 before the first batch."""

    def __init__(self, features, p):
        super().__init__()
        self.k, self.eps, self.smoothing = p.k, p.eps, p.smoothing
        if p.smoothing is not None:
            self.register_buffer("smoothed", torch.zeros(features))

    def forward(self, x, weight, bias):
        wide, n = widened(x), x.numel() // x.shape[1]
        mean = wide.mean(other_dims(x, 1))
        centered = wide - per_channel(mean, wide, 1)
        largest = _mean_of_largest(centered.abs(), self.k)
        used = largest if self.smoothing is None else self._smooth(largest)
        factor = per_channel(1 / (used * gaussian_maximum(n) + self.eps), wide, 1)
        return scaled_affine(centered, factor, weight, bias, 1).to(x.dtype), mean, largest * gaussian_maximum(n)

    def _smooth(self, largest):
        old = self.smoothed.to(largest.dtype)
        new = torch.where(old == 0, largest, self.smoothing * old + (1 - self.smoothing) * largest)
        with torch.no_grad():
            self.smoothed.copy_(new)
        return new

    def extra_repr(self):
        return f"k={self.k}, smoothing={self.smoothing}"


def _mean_of_largest(values, k):
    """The mean of the k largest of each channel: values (N, C, ...) -> (C,)."""
    rows = values.flatten(2).movedim(1, 0) if values.ndim > 2 else values.t()
    if rows.ndim == 3 and rows.shape[-1] > k:  # the k largest are among the k largest of each sample
        rows = rows.topk(k, dim=-1).values
    rows = rows.flatten(1)
    return rows.topk(min(k, rows.shape[1]), dim=1).values.mean(1)


def norm(site, p):
    return DeviationNorm(site, TopKNormalize(site.features, p), momentum=p.momentum, eps=p.eps, affine=p.affine)


def reference(site, p, state, x):
    first = x.movedim(site.channel_dim, 0).flatten(1)
    n = first.shape[1]
    centered = first - first.mean(1, keepdim=True)
    largest = centered.abs().sort(1, descending=True).values[:, : p.k].mean(1, keepdim=True)
    if p.smoothing is not None:
        old = state["normalize.smoothed"].view(-1, 1)
        largest = torch.where(old == 0, largest, p.smoothing * old + (1 - p.smoothing) * largest)
    constant = 0.5 * (1 + (math.pi * math.log(4)) ** 0.5) / (2 * math.log(n)) ** 0.5
    y = (
        (centered / (constant * largest + p.eps))
        .view(site.features, *x.movedim(site.channel_dim, 0).shape[1:])
        .movedim(0, site.channel_dim)
    )
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
