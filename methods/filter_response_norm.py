"""Filter response normalization: y = weight x / sqrt(mean(x^2) + eps) + bias, then z = max(y, tau).

x: (N, C, H, W), (N, C, T, H, W) or (N, L, C); the mean square is over the positions or tokens of one sample and channel,
(N, C); weight, bias, tau: (C,). The thresholded linear unit (TLU) takes the place of the activation that follows a
norm; tau starts at 0, which is ReLU. With `learnable_eps` eps + |eps_l| takes the place of eps, eps_l a scalar: the paper's
form for maps of a single position, where x / |x| would keep the sign alone.

Source: Singh and Krishnan, arXiv:1911.09737 (eps 1e-6; eps_l starts at 1e-4). BeyondBatchNorm's code always learns
|eps|, from 1e-5 on, and puts a TLU after the addition of a block too; here an activation behind a join stays what it is.

The usual mistake: keeping ReLU behind it. Without centering, the threshold has to be learned. On tokens it mixes all of a
sequence, padding and future tokens included. The paper warms the learning rate up.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import not_negative, positive
from normbench.hooks.norms import position_dims, scale_and_shift, scaled_affine, widened
from normbench.hooks.residual import per_channel

CITE = "Singh and Krishnan, CVPR 2020, arXiv:1911.09737"


@dataclass(frozen=True, kw_only=True)
class Params:
    eps: float = 1e-6
    learnable_eps: bool = False
    eps_init: float = 1e-4  # of the learned part

    def __post_init__(self):
        positive("eps", self.eps)
        not_negative("eps_init", self.eps_init)


class FilterResponseNorm(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim, self.eps = site.channel_dim, p.eps
        self.weight, self.bias = scale_and_shift(site.features)
        self.learned_eps = nn.Parameter(torch.tensor(p.eps_init)) if p.learnable_eps else None

    def forward(self, x):
        wide = widened(x)
        eps = self.eps if self.learned_eps is None else self.eps + self.learned_eps.abs().to(wide.dtype)
        square, dims = wide.square(), position_dims(x, self.channel_dim)
        factor = torch.rsqrt((square.mean(dims, keepdim=True) if dims else square) + eps)
        return scaled_affine(wide, factor, self.weight, self.bias, self.channel_dim).to(x.dtype)

    def extra_repr(self):
        return f"features={self.weight.numel()}, eps={self.eps}, learnable_eps={self.learned_eps is not None}"


class ThresholdedLinearUnit(nn.Module):
    """max(x, tau), tau per channel."""

    def __init__(self, site):
        super().__init__()
        self.channel_dim = site.channel_dim
        self.tau = nn.Parameter(torch.zeros(site.features))

    def forward(self, x):
        return torch.maximum(x, per_channel(self.tau, x, self.channel_dim))

    def extra_repr(self):
        return f"features={self.tau.numel()}"


def norm(site, p):
    return FilterResponseNorm(site, p)


def activation(site, p, act):
    return ThresholdedLinearUnit(site) if site.follows == "norm" else None


def reference(site, p, state, x):
    if site.kind == "activation":
        tau = state["tau"].view(site.shape).expand(x.shape)
        return (x + tau + (x - tau).abs()) / 2
    dims = 1 if site.layout == "NLC" else tuple(range(2, x.ndim))
    eps = p.eps + abs(state["learned_eps"]) if p.learnable_eps else p.eps
    y = x / ((x * x).mean(dims, keepdim=True) + eps) ** 0.5
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape)
