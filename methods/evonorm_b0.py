"""EvoNorm-B0: y = weight x / max(sqrt(batch_var + eps), v x + sqrt(instance_var + eps)) + bias, norm and activation in one.

x: (N, C, H, W), (N, C, T, H, W) or (N, L, C); batch_var: (C,), over batch and positions, running_var in evaluation;
instance_var: (N, C), over the positions of a sample, in evaluation too; weight, bias, v: (C,). Both variances are biased.
It stands for a norm and the activation behind it, whose site becomes the identity. Where a norm precedes no activation
(the last of a version 1 block, a shortcut's), it is weight x + bias: the paper's nonlinearity=False, without statistics.

Source: Liu et al., arXiv:2004.02967; v starts at 1. The authors' code (tensorflow/tpu, resnet_model.py): eps 1e-5,
moving average of the biased variance with decay 0.9 (momentum 0.1 here), weight 0 at the end of a branch (`zero_init_last`)
and ReLU after the addition. BeyondBatchNorm's code divides by the unbiased instance deviation and has no layer in
front of the addition and an EvoNorm behind it; timm takes eps 1e-3.

The usual mistake: leaving ReLU behind it, or normalizing where only scale and shift belong.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import positive, within
from normbench.hooks.norms import (
    ScaleAndShift,
    apply_affine,
    first_scale,
    instance_moments,
    need_values,
    pooled_variance,
    refuse_norm_alone,
    scale_and_shift,
    update_running,
    widened,
)
from normbench.hooks.residual import per_channel

CITE = "Liu, Brock, Simonyan and Le, NeurIPS 2020, arXiv:2004.02967"


@dataclass(frozen=True, kw_only=True)
class Params:
    momentum: float = 0.1
    eps: float = 1e-5
    zero_init_last: bool = False

    def __post_init__(self):
        within("momentum", self.momentum, 0, 1)
        positive("eps", self.eps)


class EvoNormB0(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim, self.momentum, self.eps = site.channel_dim, p.momentum, p.eps
        self.weight, self.bias = scale_and_shift(site.features)
        self.v = nn.Parameter(torch.ones(site.features))
        self.register_buffer("running_var", torch.ones(site.features))

    def forward(self, x):
        wide, dim = widened(x), self.channel_dim
        mean, instance_var = instance_moments(wide, dim)
        batch_var = self._batch_var(wide, mean, instance_var) if self.training else self.running_var.to(wide.dtype)
        batch_deviation = per_channel((batch_var + self.eps).sqrt(), wide, dim)
        bound = torch.addcmul((instance_var + self.eps).sqrt(), wide, per_channel(self.v, wide, dim))
        return apply_affine(wide / torch.maximum(batch_deviation, bound), self.weight, self.bias, dim).to(x.dtype)

    def _batch_var(self, wide, mean, instance_var):
        need_values(wide, self.channel_dim)
        var = pooled_variance(mean, instance_var, dim=0).flatten()
        update_running(self.running_var, var, self.momentum)
        return var

    def extra_repr(self):
        return f"features={self.v.numel()}, momentum={self.momentum}, eps={self.eps}"


def norm(site, p):
    if site.precedes == "activation":
        return EvoNormB0(site, p)
    return ScaleAndShift(site, first_scale(site, p.zero_init_last))


def activation(site, p, act):
    return nn.Identity() if site.follows == "norm" else None


def refuse(site, p):
    return refuse_norm_alone(site)


def reference(site, p, state, x):
    if site.kind == "activation":
        return x
    y = x
    if site.precedes == "activation":
        batch_dims = tuple(d for d in range(x.ndim) if d != site.channel_dim % x.ndim)
        batch_var = ((x - x.mean(batch_dims, keepdim=True)) ** 2).mean(batch_dims, keepdim=True)
        positions = batch_dims[1:]
        instance_var = ((x - x.mean(positions, keepdim=True)) ** 2).mean(positions, keepdim=True)
        y = x / torch.maximum((batch_var + p.eps) ** 0.5, state["v"].view(site.shape) * x + (instance_var + p.eps) ** 0.5)
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape)
