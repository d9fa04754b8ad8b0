"""What norms share: statistics in enough precision, scale and shift per channel, running statistics, groups.

Shapes: x is (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); `vector` is (C,). What is learned and what
runs is kept as (C,), so that a state fits every layout.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from normbench.hooks.residual import other_dims, per_channel
from normbench.hooks.sites import Site


def widened(x: Tensor) -> Tensor:
    """x in the precision that statistics are taken in: float32, or float64 where x has it."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def position_dims(x: Tensor, channel_dim: int) -> tuple[int, ...]:
    """The dimensions of x that are neither sample nor channel: (2, 3) for (N, C, H, W), (1,) for (N, L, C), () for (N, C)."""
    return other_dims(x, channel_dim)[1:]


def channels_second(x: Tensor, channel_dim: int) -> Tensor:
    """x with channels in dimension 1, each token a sample of its own: (N, L, C) -> (N * L, C), all else as it is.

    Statistics over batch and positions are the same before and after.
    """
    return x.reshape(-1, x.shape[-1]) if channel_dim == -1 else x


def instance_moments(x: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
    """(mean, biased variance) of each sample and channel over its positions, in shapes that broadcast over x."""
    dims = position_dims(x, channel_dim)
    if not dims:
        return x, torch.zeros_like(x)
    var, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    return mean, var


def pooled_variance(mean: Tensor, var: Tensor, dim: int) -> Tensor:
    """The biased variance of equally large parts together, from the mean and biased variance of each along `dim`.

    The variance of a whole is the mean variance of its parts plus the variance of their means: one pass over
    x serves for the instances' variance and for the batch's or a group's.
    """
    return var.mean(dim) + mean.var(dim, correction=0)


def scale_and_shift(features: int, affine: bool = True, scale: float = 1.0) -> tuple[nn.Parameter | None, nn.Parameter | None]:
    """(weight, bias), each (C,), at `scale` and 0; (None, None) without affine."""
    if not affine:
        return None, None
    return nn.Parameter(torch.full((features,), float(scale))), nn.Parameter(torch.zeros(features))


def apply_affine(x: Tensor, weight: Tensor | None, bias: Tensor | None, channel_dim: int) -> Tensor:
    """weight x + bias per channel."""
    if weight is None:
        return x
    return torch.addcmul(per_channel(bias, x, channel_dim), x, per_channel(weight, x, channel_dim))


def scaled_affine(x: Tensor, factor: Tensor, weight: Tensor | None, bias: Tensor | None, channel_dim: int) -> Tensor:
    """weight factor x + bias; factor has the dimensions of x and broadcasts over it.

    weight and factor are multiplied first: both are small, and one sum over x serves the gradients of both.
    """
    if weight is None:
        return x * factor
    return torch.addcmul(per_channel(bias, x, channel_dim), x, factor * per_channel(weight, x, channel_dim))


def ends_branch(site: Site) -> bool:
    """Whether this norm is the last of a residual branch, the one whose scale may start at 0; a shortcut's is not."""
    return site.precedes == "join" and site.role != "shortcut"


def first_scale(site: Site, zero_init_last: bool) -> float:
    """What a norm's weight starts at: 0 where it ends a branch and `zero_init_last` asks for it, else 1."""
    return 0.0 if zero_init_last and ends_branch(site) else 1.0


@torch.no_grad()
def update_running(running: Tensor, batch: Tensor, momentum: float) -> None:
    """running <- (1 - momentum) running + momentum batch, in place: torch's convention of momentum."""
    running.lerp_(batch.detach().to(running.dtype), momentum)


def need_values(x: Tensor, channel_dim: int = 1) -> int:
    """How many values each channel of x has; raises ValueError where a single one leaves no variance to take."""
    n = x.numel() // x.shape[channel_dim]
    if n < 2:
        raise ValueError(f"batch statistics need at least 2 values per channel, got a tensor of shape {tuple(x.shape)}")
    return n


def gaussian_maximum(n: int) -> float:
    """What times the largest |x| of n is about the deviation of a Gaussian x: (1 + sqrt(pi ln 4)) / (2 sqrt(2 ln n)).

    Source: the code of Hoffer et al., arXiv:1803.01814.
    """
    return (1 + math.sqrt(math.pi * math.log(4))) / (2 * math.sqrt(2 * math.log(n)))


class DeviationNorm(nn.Module):
    """weight (x - mean) / (deviation + eps) + bias, mean and deviation per channel over batch and positions.

    normalize: (x, weight, bias) -> (y, mean, deviation), x with channels second; called in training.
        `deviation` (C,) is what stands for the standard deviation.
    Evaluation takes running_mean and running_deviation, which move by `momentum` (torch's convention).
    """

    def __init__(self, site: Site, normalize: Callable[..., tuple[Tensor, Tensor, Tensor]], *, momentum: float, eps: float, affine: bool):
        super().__init__()
        self.channel_dim, self.momentum, self.eps, self.normalize = site.channel_dim, momentum, eps, normalize
        self.weight, self.bias = scale_and_shift(site.features, affine)
        self.register_buffer("running_mean", torch.zeros(site.features))
        self.register_buffer("running_deviation", torch.ones(site.features))

    def forward(self, x: Tensor) -> Tensor:
        flat = channels_second(x, self.channel_dim)
        if not self.training:
            return self._with_running(flat).reshape(x.shape)
        need_values(flat)
        y, mean, deviation = self.normalize(flat, self.weight, self.bias)
        update_running(self.running_mean, mean, self.momentum)
        update_running(self.running_deviation, deviation, self.momentum)
        return y.reshape(x.shape)

    def _with_running(self, x: Tensor) -> Tensor:
        wide = widened(x)
        scale = 1 / (self.running_deviation.to(wide.dtype) + self.eps)
        centered = wide - per_channel(self.running_mean, wide, 1)
        return scaled_affine(centered, per_channel(scale, wide, 1), self.weight, self.bias, 1).to(x.dtype)

    def extra_repr(self) -> str:
        return f"features={self.running_mean.numel()}, momentum={self.momentum}, eps={self.eps}, affine={self.weight is not None}"


class ScaleAndShift(nn.Module):
    """weight x + bias per channel, without statistics; the weight is `scale` at first."""

    def __init__(self, site: Site, scale: float = 1.0):
        super().__init__()
        self.channel_dim = site.channel_dim
        self.weight, self.bias = scale_and_shift(site.features, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        return apply_affine(widened(x), self.weight, self.bias, self.channel_dim).to(x.dtype)

    def extra_repr(self) -> str:
        return f"features={self.weight.numel()}"


def refuse_norm_alone(site: Site) -> str | None:
    """Why a norm and activation in one cannot stand where a layer follows the norm at once, as in transformers; or None."""
    if site.kind == "norm" and site.precedes == "weight":
        return "it is a norm and an activation in one, and a weight follows this norm at once, so it would only scale and shift"
    return None


def number_of_groups(features: int, num_groups: int, group_size: int | None) -> int:
    """How many groups `features` channels make; group_size, the channels of a group, wins where it is given."""
    return num_groups if group_size is None else max(1, features // group_size)


def refuse_groups(features: int, num_groups: int, group_size: int | None) -> str | None:
    """The sentence that says why `features` channels do not divide into these groups, or None."""
    divisors = [d for d in range(1, features + 1) if features % d == 0]
    if group_size is not None:
        if group_size in divisors:
            return None
        return f"{features} channels do not divide into groups of {group_size}; {_listed(divisors)} would do"
    if num_groups in divisors:
        return None
    return f"{features} channels do not divide into {num_groups} groups; {_listed(divisors)} would do"


def _listed(numbers: list[int]) -> str:
    return f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}" if len(numbers) > 1 else str(numbers[0])
