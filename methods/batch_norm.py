"""Batch normalization: y = weight (x - mean) / sqrt(var + eps) + bias, per channel over batch and positions.

x: (N, C, H, W), (N, C, T, H, W), (N, L, C) or (N, C); mean, var, weight, bias: (C,). var is the biased variance in
the equation and the unbiased one in running_var (torch's convention; "momentum" is the share of the new batch,
where TensorFlow and the papers' code write the share of the old value).

Source: Ioffe and Szegedy, arXiv:1502.03167, algorithm 1. Ghost batches: Hoffer et al., arXiv:1705.08741: statistics
over each chunk of `ghost_batch_size` consecutive samples; running statistics follow the chunks' mean (a last, smaller chunk
counts by its samples). BeyondBatchNorm's code starts the running mean at 1 and keeps the biased variance; this starts at 0.
`zero_init_last` starts the last norm of each residual branch at weight 0, as RescaleNet's baseline and
torchvision's zero_init_residual do. `only_final` keeps nothing but the head's norm, the one behind the last block.
`sync=True` takes the statistics over the batches of all devices that train together (torch's SyncBatchNorm, which wants GPUs where
there are several); otherwise each device has its own, over the recipe's device_batch_size.
`fused=False` computes mean, x * x, its mean and rsqrt one after another, var = mean(x^2) - mean^2: the form whose x * x
overflows where every operation is rounded to half precision.

The usual mistake: comparing batch sizes without a fixed ghost batch size, so that the noise of the statistics changes too.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from normbench.core.validation import at_least, positive, within
from normbench.hooks.norms import channels_second, first_scale, need_values, update_running, widened
from normbench.hooks.residual import other_dims, per_channel

CITE = "Ioffe and Szegedy, ICML 2015, arXiv:1502.03167"


@dataclass(frozen=True, kw_only=True)
class Params:
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True
    ghost_batch_size: int | None = None  # None: the whole batch
    zero_init_last: bool = False
    only_final: bool = False
    fused: bool = True
    sync: bool = False

    def __post_init__(self):
        within("momentum", self.momentum, 0, 1)
        positive("eps", self.eps)
        if self.ghost_batch_size is not None:
            at_least("ghost_batch_size", self.ghost_batch_size, 1)
        if self.zero_init_last and not self.affine:
            raise ValueError("zero_init_last needs affine, got affine=False")
        if self.sync and (self.ghost_batch_size is not None or not self.fused):
            raise ValueError("sync is over whole batches and fused: it goes with neither ghost_batch_size nor fused=False")


class ChunkedBatchNorm(_BatchNorm):
    """torch's state with what torch does not offer: channels last, ghost batches, separate operations."""

    def __init__(self, site, p):
        super().__init__(site.features, eps=p.eps, momentum=p.momentum, affine=p.affine)
        self.channel_dim, self.chunk, self.fused = site.channel_dim, p.ghost_batch_size, p.fused

    def forward(self, x):
        if not self.training:
            return self._normalize(x, self.running_mean, self.running_var, 0.0)
        self.num_batches_tracked.add_(1)
        mean, var = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
        outputs, seen = [], 0
        for part in x.split(self.chunk or len(x)):
            seen += len(part)
            outputs.append(self._normalize(part, mean, var, len(part) / seen))  # a running mean over the chunks so far
        update_running(self.running_mean, mean, self.momentum)
        update_running(self.running_var, var, self.momentum)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _normalize(self, x, mean, var, momentum):
        flat = channels_second(x, self.channel_dim)
        function = F.batch_norm if self.fused else _separate_batch_norm
        return function(flat, mean, var, self.weight, self.bias, self.training, momentum, self.eps).reshape(x.shape)

    def extra_repr(self):
        return f"{super().extra_repr()}, ghost_batch_size={self.chunk}, fused={self.fused}"


def _separate_batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps):
    """F.batch_norm, x (N, C, ...), as the operations that a half-precision accelerator without a kernel for it would run."""
    mean, var = running_mean, running_var
    wide = widened(x)
    if training:
        n, dims = need_values(x), other_dims(x, 1)
        mean = wide.mean(dims)
        var = ((wide * wide).mean(dims) - mean * mean).clamp_min(0)
        update_running(running_mean, mean, momentum)
        update_running(running_var, var * (n / (n - 1)), momentum)
    scale = torch.rsqrt(var.to(wide.dtype) + eps)
    y = (wide - per_channel(mean, wide, 1)) * per_channel(scale, wide, 1)
    if weight is not None:
        y = y * per_channel(weight, wide, 1) + per_channel(bias, wide, 1)
    return y.to(x.dtype)


def refuse(site, p):
    if p.sync and site.layout == "NLC":
        return "sync takes channels in second place (NCHW, NCTHW), not NLC"
    return None


def norm(site, p):
    if p.only_final and site.role != "head":
        return None
    plain = p.fused and p.ghost_batch_size is None and site.layout != "NLC"
    if plain:  # torch's own, so that a network is torchvision's to the last bit
        kind = nn.SyncBatchNorm if p.sync else {"NCHW": nn.BatchNorm2d, "NCTHW": nn.BatchNorm3d}[site.layout]
        module = kind(site.features, eps=p.eps, momentum=p.momentum, affine=p.affine)
    else:
        module = ChunkedBatchNorm(site, p)
    if p.affine:
        nn.init.constant_(module.weight, first_scale(site, p.zero_init_last))
    return module


def reference(site, p, state, x):
    outputs = []
    for part in x.split(p.ghost_batch_size or len(x)):
        dims = tuple(d for d in range(x.ndim) if d != site.channel_dim % x.ndim)
        mean = part.mean(dims, keepdim=True)
        var = ((part - mean) ** 2).mean(dims, keepdim=True)
        outputs.append((part - mean) / (var + p.eps) ** 0.5)
    y = torch.cat(outputs)
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
