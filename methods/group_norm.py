"""Group normalization: y = weight (x - mean) / sqrt(var + eps) + bias, over groups of channels of each sample.

x: (N, C, H, W) or (N, C, T, H, W): mean and var, (N, groups), over the positions and the channels of a group;
x: (N, L, C) or (N, C): over the channels of a group in each token. weight, bias: (C,). var is biased.
`group_size`, the channels of a group, wins over `num_groups` where it is given.

Source: Wu and He, arXiv:1803.08494, eq. 7 (32 groups). BeyondBatchNorm's code takes the unbiased variance and reads a
grouping below 1 as 1 / group size. `zero_init_last` starts the last norm of each residual branch at weight 0, as
RescaleNet's code does for its group norm baseline.

The usual mistake: keeping 32 groups in a network of 16 or 32 channels, which is no division or an instance norm.
"""

from dataclasses import dataclass

from torch import nn

from normbench.core.validation import at_least, positive
from normbench.hooks.norms import channels_second, first_scale, number_of_groups, refuse_groups

CITE = "Wu and He, ECCV 2018, arXiv:1803.08494"
VARIANTS = [{"num_groups": 2}]


@dataclass(frozen=True, kw_only=True)
class Params:
    num_groups: int = 32
    group_size: int | None = None  # channels of a group; wins over num_groups
    eps: float = 1e-5
    affine: bool = True
    zero_init_last: bool = False

    def __post_init__(self):
        at_least("num_groups", self.num_groups, 1)
        if self.group_size is not None:
            at_least("group_size", self.group_size, 1)
        positive("eps", self.eps)
        if self.zero_init_last and not self.affine:
            raise ValueError("zero_init_last needs affine, got affine=False")


class TokenGroupNorm(nn.GroupNorm):
    """Groups of the channels of each token: x (N, L, C) or (N, C)."""

    def forward(self, x):
        return super().forward(channels_second(x, -1)).reshape(x.shape)


def norm(site, p):
    kind = TokenGroupNorm if site.layout == "NLC" else nn.GroupNorm
    module = kind(number_of_groups(site.features, p.num_groups, p.group_size), site.features, eps=p.eps, affine=p.affine)
    if p.affine:
        nn.init.constant_(module.weight, first_scale(site, p.zero_init_last))
    return module


def refuse(site, p):
    if site.kind != "norm":
        return None
    if reason := refuse_groups(site.features, p.num_groups, p.group_size):
        return reason
    if site.layout == "NLC" and number_of_groups(site.features, p.num_groups, p.group_size) == site.features:
        return f"a group of a token would be 1 of its {site.features} channels, and a single value has no variance; fewer groups would do"
    return None


def reference(site, p, state, x):
    groups = number_of_groups(site.features, p.num_groups, p.group_size)
    tokens = site.layout == "NLC"
    grouped = x.reshape(*x.shape[:-1], groups, -1) if tokens else x.reshape(len(x), groups, -1)
    mean = grouped.mean(-1, keepdim=True)
    var = ((grouped - mean) ** 2).mean(-1, keepdim=True)
    y = ((grouped - mean) / (var + p.eps) ** 0.5).reshape(x.shape)
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
