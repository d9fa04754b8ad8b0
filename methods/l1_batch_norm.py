"""L1 batch normalization: y = weight (x - mean) / (sqrt(pi / 2) mean|x - mean| + eps) + bias, per channel.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); mean, mean|x - mean|, weight, bias: (C,), over batch and positions.
sqrt(pi / 2) makes the denominator the standard deviation where x is Gaussian; `constant_scale` multiplies it (1/4 and 4 ask
how much the constant matters). Nothing is squared, so nothing overflows in half precision before x itself does.

Source: Hoffer et al., arXiv:1803.01814. The paper has no eps and its ResNet code neither;
its other code adds 1e-5 as here. Its code keeps a running mean and a running scale (in one file its inverse, under the name
running_var) from 0 on, with momentum 0.1 as the share of the OLD value; here it is the share of the new batch, as in torch.

The usual mistake: leaving out sqrt(pi / 2), which multiplies all outputs by 1.25; or differentiating x - mean alone: the
gradient through the denominator is what keeps updates orthogonal to the weights.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from normbench.core.validation import not_negative, positive, within
from normbench.hooks.norms import DeviationNorm
from normbench.hooks.residual import other_dims

CITE = "Hoffer, Banner, Golan and Soudry, NeurIPS 2018, arXiv:1803.01814"
CHUNK_BYTES = 2**20  # what is worked on at a time on a CPU, so that temporaries stay in its cache


@dataclass(frozen=True, kw_only=True)
class Params:
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True
    constant_scale: float = 1.0

    def __post_init__(self):
        within("momentum", self.momentum, 0, 1)
        not_negative("eps", self.eps)
        positive("constant_scale", self.constant_scale)


class L1Normalize(torch.autograd.Function):
    """(x, weight, bias, constant, eps) -> (y, mean, deviation), x (N, C, ...), in as few passes over memory as it takes.

    With s = sign(x - mean), d = constant mean|x - mean| + eps, z = (x - mean) / d, g the gradient of y and n values a channel:
    dy/dx gives weight / d (g - mean(g) - constant mean(g z) (s - mean(s))).
    """

    @staticmethod
    def forward(ctx, x, weight, bias, constant, eps):
        dims, mean = other_dims(x, 1), x.mean(other_dims(x, 1), dtype=torch.promote_types(x.dtype, torch.float32))
        absolute = signs = 0.0
        for part in _parts(x):
            centered, share = x[part] - _broad(mean, x), len(x[part]) / len(x)
            signs = signs + centered.sign().mean(dims) * share
            absolute = absolute + centered.abs_().mean(dims) * share
        deviation = constant * absolute
        denominator = deviation + eps
        scale = weight.to(mean.dtype) / denominator
        y = F.batch_norm(x, mean, torch.ones_like(mean), scale, bias.to(mean.dtype), False, 0.0, 0.0)  # scale and shift in one pass
        ctx.save_for_backward(x, mean, denominator, signs, scale)
        ctx.constant, ctx.dtype = constant, weight.dtype
        ctx.mark_non_differentiable(mean, deviation)
        return y, mean, deviation

    @staticmethod
    @once_differentiable
    def backward(ctx, g, _mean, _deviation):
        x, mean, denominator, signs, scale = ctx.saved_tensors
        dims, n = other_dims(x, 1), x.numel() // x.shape[1]
        center, inverse = _broad(mean, x), _broad(1 / denominator, x)
        of_weight = of_bias = 0.0
        for part in _parts(x):
            z = (x[part] - center).mul_(inverse)
            of_weight = of_weight + z.mul_(g[part]).sum(dims)
            of_bias = of_bias + g[part].sum(dims, dtype=mean.dtype)
        of_sign = ctx.constant * scale * of_weight / n
        rest = _broad(of_sign * signs - scale * of_bias / n, x)
        of_x = g * _broad(scale, x)
        for part in _parts(x):
            of_x[part].add_(rest).addcmul_((x[part] - center).sign_(), _broad(-of_sign, x))
        return of_x.to(x.dtype), of_weight.to(ctx.dtype), of_bias.to(ctx.dtype), None, None


def _broad(vector, x):
    """(C,) in the shape that broadcasts over x, (N, C, ...), in its own precision."""
    return vector.view(1, -1, *[1] * (x.ndim - 2))


def _parts(x):
    """Slices of samples whose data fit a CPU's cache; one slice elsewhere, and in a compiled graph, which fuses instead."""
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return [slice(None)]
    step = max(1, CHUNK_BYTES * len(x) // max(1, x.numel() * x.element_size()))
    return [slice(first, first + step) for first in range(0, len(x), step)]


def _normalize(x, weight, bias, *, constant, eps):
    if weight is None:
        weight, bias = x.new_ones(x.shape[1]), x.new_zeros(x.shape[1])
    return L1Normalize.apply(x, weight, bias, constant, eps)


def norm(site, p):
    normalize = partial(_normalize, constant=p.constant_scale * math.sqrt(math.pi / 2), eps=p.eps)
    return DeviationNorm(site, normalize, momentum=p.momentum, eps=p.eps, affine=p.affine)


def reference(site, p, state, x):
    dims = tuple(d for d in range(x.ndim) if d != site.channel_dim % x.ndim)
    centered = x - x.mean(dims, keepdim=True)
    deviation = p.constant_scale * (math.pi / 2) ** 0.5 * centered.abs().mean(dims, keepdim=True)
    y = centered / (deviation + p.eps)
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
