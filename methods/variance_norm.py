"""Variance normalization: y = weight x / sqrt(var + eps) + bias, batch norm without centering.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); var (biased), weight, bias: (C,), per channel over batch and
positions. running_var follows the unbiased variance with torch's momentum, as in batch_norm, so that the two
differ in the centering alone.

Source: Daneshmand et al., arXiv:2003.01652; the layer as BeyondBatchNorm (arXiv:2106.05956) has it. Its code
keeps the biased variance and writes momentum as the share of the old value, 0.9.

The usual mistake: dividing by the root mean square, sqrt(mean(x^2)), which is another layer wherever the mean is not 0.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import positive, within
from normbench.hooks.norms import instance_moments, need_values, pooled_variance, scale_and_shift, scaled_affine, update_running, widened
from normbench.hooks.residual import per_channel

CITE = "Daneshmand et al., NeurIPS 2020, arXiv:2003.01652; Lubana et al., NeurIPS 2021, arXiv:2106.05956"


@dataclass(frozen=True, kw_only=True)
class Params:
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        within("momentum", self.momentum, 0, 1)
        positive("eps", self.eps)


class VarianceNorm(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim, self.momentum, self.eps = site.channel_dim, p.momentum, p.eps
        self.weight, self.bias = scale_and_shift(site.features, p.affine)
        self.register_buffer("running_var", torch.ones(site.features))

    def forward(self, x):
        wide = widened(x)
        var = self._variance(wide) if self.training else self.running_var.to(wide.dtype)
        factor = per_channel(torch.rsqrt(var + self.eps), wide, self.channel_dim)
        return scaled_affine(wide, factor, self.weight, self.bias, self.channel_dim).to(x.dtype)

    def _variance(self, wide):
        n = need_values(wide, self.channel_dim)
        var = pooled_variance(*instance_moments(wide, self.channel_dim), dim=0).flatten()
        update_running(self.running_var, var * (n / (n - 1)), self.momentum)
        return var

    def extra_repr(self):
        return f"features={self.running_var.numel()}, momentum={self.momentum}, eps={self.eps}, affine={self.weight is not None}"


def norm(site, p):
    return VarianceNorm(site, p)


def reference(site, p, state, x):
    dims = tuple(d for d in range(x.ndim) if d != site.channel_dim % x.ndim)
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    y = x / (var + p.eps) ** 0.5
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
