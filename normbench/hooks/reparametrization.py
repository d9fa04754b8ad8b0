"""Weights computed from other tensors, and the layers that go with them.

A parametrization maps the raw weight v (C_out, ...) of a convolution or linear layer to the weight w
of the same shape that the layer uses; norms, means and deviations are those of each output channel
v_i, N = v_i.numel(). torch keeps v as `layer.parametrizations.weight.original`.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization

from normbench.core.errors import InputError
from normbench.hooks.builder import Placed
from normbench.hooks.residual import other_dims, per_channel
from normbench.hooks.sites import Site


def reparametrize(layer: nn.Module, parametrization: nn.Module) -> nn.Module:
    """`layer` with its weight computed by `parametrization` from a raw weight that starts as the weight was."""
    # Unsafe only skips trying it out, for which torch, without memory, imports its compiler: two seconds.
    return register_parametrization(layer, "weight", parametrization, unsafe=layer.weight.is_meta)


def parametrization_of(layer: nn.Module | None, kind: type[nn.Module]) -> nn.Module | None:
    """The parametrization of this type that computes the layer's weight, or None."""
    if layer is None or not is_parametrized(layer, "weight"):
        return None
    return next((m for m in layer.parametrizations.weight if isinstance(m, kind)), None)


def with_bias(layer: nn.Module) -> nn.Module:
    """`layer` with a bias (C_out,), zero at first, if it has none."""
    if layer.bias is None:
        layer.bias = nn.Parameter(layer.weight.new_zeros(layer.weight.shape[0]))
    return layer


def channel_norm(v: Tensor) -> Tensor:
    """||v_i||_2 of each output channel: (C_out, ...) -> (C_out, 1, ...)."""
    shape = (-1, *[1] * (v.ndim - 1))
    if v.is_meta:  # where torch would work out the shapes by imports and code that take longer than the rest of a model
        return v.new_empty(v.shape[0]).view(shape)
    return v.flatten(1).norm(dim=1).view(shape)


class WeightNorm(nn.Module):
    """w_i = gain_i v_i / ||v_i||; gain (C_out, 1, ...), learned, is ||v_i|| at first or one."""

    def __init__(self, v: Tensor, *, unit_gain: bool = False):
        super().__init__()
        norm = channel_norm(v.detach())
        self.gain = nn.Parameter(torch.ones_like(norm) if unit_gain else norm.clone())

    def forward(self, v: Tensor) -> Tensor:
        return v * (self.gain / channel_norm(v))


class BoundedWeightNorm(nn.Module):
    """w_i = rho v_i / ||v_i||, or with `gains` w_i = rho (g_i / ||g||) v_i / ||v_i||.

    rho (), a buffer, never changes: the root mean square of the initial ||v_i||, or with gains the
    initial ||g|| with g_i = ||v_i|| at first. Either way the layer keeps its initial Frobenius norm.
    """

    def __init__(self, v: Tensor, *, gains: bool = False):
        super().__init__()
        norm = channel_norm(v.detach())
        self.gain = nn.Parameter(norm.clone()) if gains else None
        self.register_buffer("rho", v.new_empty(()) if v.is_meta else norm.norm() if gains else norm.square().mean().sqrt())

    def forward(self, v: Tensor) -> Tensor:
        share = 1.0 if self.gain is None else self.gain / self.gain.norm()
        return v * (self.rho * share / channel_norm(v))


class ScaledWeightStandardization(nn.Module):
    """w_i = gamma gain_i (v_i - mean_i) / (deviation of v_i times sqrt(N)), biased deviation.

    gain: (C_out, 1, ...), learned, one at first.
    bound: how eps keeps the denominator from zero:
        "deviation" (sigma + eps) sqrt(N); "variance" sqrt((sigma^2 + eps) N); "sum" sqrt(max(sigma^2 N, eps)).
    """

    def __init__(self, v: Tensor, *, gamma: float, eps: float, bound: str):
        super().__init__()
        assert bound in ("deviation", "variance", "sum"), bound
        self.gamma, self.eps, self.bound = gamma, eps, bound
        self.gain = nn.Parameter(torch.ones(v.shape[0], *[1] * (v.ndim - 1)))

    def forward(self, v: Tensor) -> Tensor:
        dims, n = tuple(range(1, v.ndim)), v[0].numel()
        var, mean = torch.var_mean(v, dims, correction=0, keepdim=True)
        if self.bound == "deviation":
            scale = 1 / ((var.sqrt() + self.eps) * math.sqrt(n))
        elif self.bound == "variance":
            scale = torch.rsqrt((var + self.eps) * n)
        else:
            scale = torch.rsqrt((var * n).clamp(min=self.eps))
        return (v - mean) * (self.gamma * self.gain * scale)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:.6g}, eps={self.eps}, bound={self.bound}"


class MeanOnlyBatchNorm(nn.Module):
    """x - mean + bias per channel, mean over batch and positions; in eval the running mean.

    running_mean follows torch's convention: (1 - momentum) running_mean + momentum mean.
    """

    def __init__(self, site: Site, *, momentum: float):
        super().__init__()
        self.channel_dim, self.momentum = site.channel_dim, momentum
        self.bias = nn.Parameter(torch.zeros(site.features))
        self.register_buffer("running_mean", torch.zeros(site.features))

    def forward(self, x: Tensor) -> Tensor:
        mean = self.running_mean
        if self.training:
            mean = x.mean(other_dims(x, self.channel_dim))
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach().to(self.running_mean.dtype), self.momentum)
        return x + per_channel(self.bias.to(mean.dtype) - mean, x, self.channel_dim)

    def extra_repr(self) -> str:
        return f"features={self.bias.numel()}, momentum={self.momentum}"


class ScaledReLU(nn.Module):
    """scale * (relu(x) - shift)."""

    def __init__(self, scale: float, shift: float = 0.0):
        super().__init__()
        self.scale, self.shift = scale, shift

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * (torch.relu(x) - self.shift)

    def extra_repr(self) -> str:
        return f"scale={self.scale:.6g}, shift={self.shift:.6g}"


def scaled_relu(site: Site, act: nn.Module, scale: float, shift: float = 0.0) -> ScaledReLU:
    """A ScaledReLU in place of `act`; raises InputError where `act` is no ReLU, because the constants would be wrong."""
    if not isinstance(act, nn.ReLU):
        raise InputError(f"{site.name}: the scaled activation is derived for ReLU, got {type(act).__name__}; use a model with ReLU")
    return ScaledReLU(scale, shift)


@torch.no_grad()
def normalize_outputs(model: nn.Module, sites: Iterable[Placed], batch: Tensor) -> None:
    """Data-dependent initialization of weight norm (arXiv:1602.07868, section 3), layer by layer in one forward pass.

    The gain of each weight-normed layer is divided by the deviation of its outputs over the batch and
    positions, and its bias, if it has one, set so that their mean is 0. Constant channels stay as they are.
    """
    placed = [(p.site, p.module) for p in sites if parametrization_of(p.module, WeightNorm) is not None]
    hooks = [layer.register_forward_hook(_normalizer(site)) for site, layer in placed]
    was_training = model.training
    try:
        model.train()
        model(batch)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()


def _normalizer(site: Site):
    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
        dims = other_dims(out, site.channel_dim)
        var, mean = torch.var_mean(out, dims, correction=0)
        deviation = torch.where(var > 0, var.sqrt(), 1.0)
        gain = parametrization_of(layer, WeightNorm).gain
        gain.div_(deviation.view_as(gain))
        if layer.bias is not None:
            layer.bias.sub_(mean).div_(deviation)
            out = out - per_channel(mean, out, site.channel_dim)
        return out / per_channel(deviation, out, site.channel_dim)

    return hook
