"""Modules for networks that keep their signal in range without normalizing it: scaled sums and biases.

    ScaledSum       skip_scale * skip + branch_scale * gain * branch
    Bias            x + bias, one scalar or one value per channel
    CalibratedBias  x + offset + bias, the offset being minus the mean of x over the first batches

Learned scalars have shape (): multiplied with half-precision tensors they leave the precision as it is.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from normbench.hooks.builder import Placed
from normbench.hooks.sites import Site


def per_channel(vector: Tensor, x: Tensor, channel_dim: int) -> Tensor:
    """`vector` (C,) in the shape and precision that broadcast over the channels of x; x may have any number of positions."""
    shape = [1] * x.ndim
    shape[channel_dim] = -1
    return vector.view(shape).to(x.dtype)


def other_dims(x: Tensor, channel_dim: int) -> tuple[int, ...]:
    """All dimensions of x but the channels'."""
    return tuple(d for d in range(x.ndim) if d != channel_dim % x.ndim)


class ScaledSum(nn.Module):
    """skip_scale * skip + branch_scale * gain * branch, both of the site's shape.

    skip_scale, branch_scale: constants.
    gain: None, "scalar" (shape ()) or "vector" (shape (C,)), learned, `init` at first.
    skip_gain: a learned scalar, 1 at first, multiplies the skip too.
    """

    def __init__(
        self,
        site: Site,
        *,
        skip_scale: float = 1.0,
        branch_scale: float = 1.0,
        gain: str | None = None,
        init: float = 1.0,
        skip_gain: bool = False,
    ):
        super().__init__()
        assert gain in (None, "scalar", "vector"), gain
        self.skip_scale, self.branch_scale, self.channel_dim = skip_scale, branch_scale, site.channel_dim
        shape = (site.features,) if gain == "vector" else ()
        self.gain = None if gain is None else nn.Parameter(torch.full(shape, float(init)))
        self.skip_gain = nn.Parameter(torch.ones(())) if skip_gain else None

    def forward(self, skip: Tensor, branch: Tensor) -> Tensor:
        return _times(skip, self.skip_scale, self.skip_gain, self.channel_dim) + _times(
            branch, self.branch_scale, self.gain, self.channel_dim
        )

    def extra_repr(self) -> str:
        gain = None if self.gain is None else tuple(self.gain.shape)
        return (
            f"skip_scale={self.skip_scale:.6g}, branch_scale={self.branch_scale:.6g}, gain={gain}, skip_gain={self.skip_gain is not None}"
        )


def _times(x: Tensor, scale: float, gain: Tensor | None, channel_dim: int) -> Tensor:
    """scale * gain * x, without multiplying by one: in a deep, narrow network that is a twentieth of a step."""
    if gain is None:
        return x if scale == 1 else scale * x
    gain = gain if scale == 1 else scale * gain
    return (per_channel(gain, x, channel_dim) if gain.ndim else gain) * x


class Bias(nn.Module):
    """x + bias; bias, 0 at first, has shape () or, with `per_channel`, (C,)."""

    def __init__(self, site: Site, *, per_channel: bool = False):
        super().__init__()
        self.channel_dim = site.channel_dim
        self.bias = nn.Parameter(torch.zeros((site.features,) if per_channel else ()))

    def forward(self, x: Tensor) -> Tensor:
        return x + (per_channel(self.bias, x, self.channel_dim) if self.bias.ndim else self.bias)

    def extra_repr(self) -> str:
        return f"shape={tuple(self.bias.shape)}"


class CalibratedBias(nn.Module):
    """x + offset + bias per channel; both have shape (C,) and are 0 at first, and only bias is learned.

    While `tracking`, each call sets offset to minus the mean of all values of x since tracking began,
    those of this call included, and already adds it: the layers behind are calibrated on what they will see.
    """

    def __init__(self, site: Site):
        super().__init__()
        self.channel_dim = site.channel_dim
        self.bias = nn.Parameter(torch.zeros(site.features))
        self.register_buffer("offset", torch.zeros(site.features))
        self.tracking, self._seen = False, 0

    def track(self, on: bool) -> None:
        """Start anew to average, or stop and keep the offset."""
        self.tracking, self._seen = on, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.tracking:
            self._update(x)
        return x + per_channel(self.offset + self.bias, x, self.channel_dim)

    @torch.no_grad()
    def _update(self, x: Tensor) -> None:
        values = x.numel() // self.offset.numel()
        self._seen += values
        mean = x.to(self.offset.dtype).mean(other_dims(x, self.channel_dim))
        share = values / self._seen  # 1 in the first call, so that nothing of an older offset is kept
        self.offset.mul_(1 - share).sub_(share * mean)

    def extra_repr(self) -> str:
        return f"features={self.offset.numel()}"


def placed_modules(sites: Iterable[Placed], *kinds: type[nn.Module]) -> list[nn.Module]:
    """The modules of these types that stand at the sites, each once, in the order of the sites."""
    found = {id(p.module): p.module for p in sites if isinstance(p.module, kinds)}
    return list(found.values())


def own_parameters(sites: Iterable[Placed], *kinds: type[nn.Module]) -> list[nn.Parameter]:
    """The parameters of the modules of these types, each once."""
    found = {id(w): w for module in placed_modules(sites, *kinds) for w in module.parameters()}
    return list(found.values())


def classifies(site: Site) -> bool:
    """Whether a weight is a network's last: the linear layer whose outputs are the scores."""
    return site.role == "head" and site.precedes == "output"


def has_join(sites: Iterable[Placed]) -> bool:
    """Whether the model adds branches to skips anywhere."""
    return any(p.site.kind == "join" for p in sites)
