"""Root mean square normalization: y = weight x / sqrt(mean(x^2) + eps), statistics of each sample alone.

x: (N, C, H, W) or (N, C, T, H, W): the mean square over channels and positions of a sample, (N,); x: (N, L, C) or (N, C):
over the channels of each token, (N, L). weight: (C,). Neither centered nor shifted.

Source: Zhang and Sennrich, arXiv:1910.07467, eq. 4 (eps: 1e-8 in the paper's code, added to the root; here under it, 1e-5
as the other norms, because 1e-8 is 0 in half precision).

The usual mistake: adding the bias of layer norm; or squaring in half precision, where 256 overflows.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.core.validation import positive
from normbench.hooks.norms import widened
from normbench.hooks.residual import per_channel

CITE = "Zhang and Sennrich, NeurIPS 2019, arXiv:1910.07467"


@dataclass(frozen=True, kw_only=True)
class Params:
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        positive("eps", self.eps)


class RMSNorm(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim, self.eps = site.channel_dim, p.eps
        self.weight = nn.Parameter(torch.ones(site.features)) if p.affine else None

    def forward(self, x):
        wide = widened(x)
        dims = -1 if self.channel_dim == -1 else tuple(range(1, x.ndim))
        scale = torch.rsqrt(wide.square().mean(dims, keepdim=True) + self.eps)
        if self.weight is not None:
            scale = scale * per_channel(self.weight, wide, self.channel_dim)
        return (wide * scale).to(x.dtype)

    def extra_repr(self):
        return f"channel_dim={self.channel_dim}, eps={self.eps}, affine={self.weight is not None}"


def norm(site, p):
    return RMSNorm(site, p)


def reference(site, p, state, x):
    dims = -1 if site.layout == "NLC" else tuple(range(1, x.ndim))
    y = x / ((x * x).mean(dims, keepdim=True) + p.eps) ** 0.5
    return y * state["weight"].view(site.shape) if p.affine else y
