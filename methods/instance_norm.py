"""Instance normalization: y = weight (x - mean) / sqrt(var + eps) + bias, per sample and channel over positions.

x: (N, C, H, W), (N, C, T, H, W) or (N, L, C); mean, var: (N, C), over the positions or tokens; weight, bias: (C,).
var is biased; there are no running statistics.

Source: Ulyanov et al., arXiv:1607.08022 (eps as in BeyondBatchNorm's code, 1e-5, which learns weight and bias too;
torch's nn.InstanceNorm2d does not by default).

The usual mistake: using it where one position is left (small images, deep networks): x - mean is 0, only the bias comes
through, and nothing behind it can learn from x. On tokens it mixes all of a sequence, padding and future tokens included.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import positive

CITE = "Ulyanov, Vedaldi and Lempitsky, 2016, arXiv:1607.08022"


@dataclass(frozen=True, kw_only=True)
class Params:
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        positive("eps", self.eps)


class InstanceNorm(nn.GroupNorm):
    """A group norm with one channel a group, whose kernel is the fastest for this; x with channels at `channel_dim`."""

    def __init__(self, site, p):
        super().__init__(site.features, site.features, eps=p.eps, affine=p.affine)
        self.channel_dim = site.channel_dim

    def forward(self, x):
        first = x.movedim(self.channel_dim, 1)
        # not F.group_norm, which raises for one sample with one position
        return torch.group_norm(first, self.num_groups, self.weight, self.bias, self.eps).movedim(1, self.channel_dim)


def norm(site, p):
    return InstanceNorm(site, p)


def reference(site, p, state, x):
    dims = 1 if site.layout == "NLC" else tuple(range(2, x.ndim))
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    y = (x - mean) / (var + p.eps) ** 0.5
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
