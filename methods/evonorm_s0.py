"""EvoNorm-S0: y = weight x sigmoid(v x) / sqrt(group_var + eps) + bias, norm and activation in one.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); group_var (biased): (N, groups), over the positions or tokens and the
channels of a group in one sample; weight, bias, v: (C,). `group_size`, the channels of a group, wins over `num_groups`.
It stands for a norm and the activation behind it, whose site becomes the identity. Where a norm precedes no activation
(the last of a version 1 block, a shortcut's), it is weight x + bias: the paper's nonlinearity=False, without statistics.

Source: Liu et al., arXiv:2004.02967 (32 groups); v starts at 1. The authors' code (tensorflow/tpu,
resnet_model.py): eps 1e-5, the next smaller number of groups that divides the channels (refused here), weight 0 at
the end of a branch (`zero_init_last`) and ReLU after the addition. BeyondBatchNorm's code takes the unbiased variance.

The usual mistake: leaving ReLU behind it, or normalizing where only scale and shift belong.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import at_least, positive
from normbench.hooks.norms import (
    ScaleAndShift,
    first_scale,
    instance_moments,
    number_of_groups,
    pooled_variance,
    refuse_groups,
    refuse_norm_alone,
    scale_and_shift,
    scaled_affine,
    widened,
)
from normbench.hooks.residual import per_channel

CITE = "Liu, Brock, Simonyan and Le, NeurIPS 2020, arXiv:2004.02967"
VARIANTS = [{"num_groups": 2}]


@dataclass(frozen=True, kw_only=True)
class Params:
    num_groups: int = 32
    group_size: int | None = None  # channels of a group; wins over num_groups
    eps: float = 1e-5
    zero_init_last: bool = False

    def __post_init__(self):
        at_least("num_groups", self.num_groups, 1)
        if self.group_size is not None:
            at_least("group_size", self.group_size, 1)
        positive("eps", self.eps)


class EvoNormS0(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim, self.eps = site.channel_dim, p.eps
        self.groups = number_of_groups(site.features, p.num_groups, p.group_size)
        self.weight, self.bias = scale_and_shift(site.features)
        self.v = nn.Parameter(torch.ones(site.features))

    def forward(self, x):
        wide = widened(x)
        gate = torch.sigmoid(wide * per_channel(self.v, wide, self.channel_dim))
        factor = torch.rsqrt(self._group_var(wide) + self.eps)
        return scaled_affine(wide * gate, factor, self.weight, self.bias, self.channel_dim).to(x.dtype)

    def _group_var(self, wide):
        """The variance of each channel's group, in a shape that broadcasts over x."""
        mean, var = instance_moments(wide, self.channel_dim)
        members = (len(wide), self.groups, -1)
        of_group = pooled_variance(mean.reshape(members), var.reshape(members), dim=2)
        return of_group.repeat_interleave(var[0].numel() // self.groups, dim=1).view(var.shape)

    def extra_repr(self):
        return f"features={self.v.numel()}, groups={self.groups}, eps={self.eps}"


def norm(site, p):
    if site.precedes == "activation":
        return EvoNormS0(site, p)
    return ScaleAndShift(site, first_scale(site, p.zero_init_last))


def activation(site, p, act):
    return nn.Identity() if site.follows == "norm" else None


def refuse(site, p):
    if site.kind == "norm" and site.precedes == "activation":
        return refuse_groups(site.features, p.num_groups, p.group_size)
    return refuse_norm_alone(site)


def reference(site, p, state, x):
    if site.kind == "activation":
        return x
    y = x
    if site.precedes == "activation":
        groups = number_of_groups(site.features, p.num_groups, p.group_size)
        denominator = torch.empty_like(x)
        for members in torch.arange(site.features).chunk(groups):
            part = x.index_select(site.channel_dim, members).flatten(1)
            var = ((part - part.mean(1, keepdim=True)) ** 2).mean(1)
            denominator.index_copy_(
                site.channel_dim,
                members,
                ((var + p.eps) ** 0.5).view(-1, *[1] * (x.ndim - 1)).expand_as(x.index_select(site.channel_dim, members)),
            )
        y = x / (1 + torch.exp(-state["v"].view(site.shape) * x)) / denominator
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape)
