"""Layer normalization: y = weight (x - mean) / sqrt(var + eps) + bias, statistics of each sample alone.

x: (N, C, H, W) or (N, C, T, H, W): mean and var over channels and positions of a sample, (N,); x: (N, L, C) or (N, C): over
the channels of each token, (N, L). weight, bias: (C,). var is biased.

Source: Ba et al., arXiv:1607.06450, eq. 3. On images the scale and shift are per channel, as in BeyondBatchNorm's code
(its eps, 1e-5, too); torch's nn.LayerNorm([C, H, W]) would learn one per channel and position.

The usual mistake: taking the token's form (statistics over C alone) for images, where another network results.
"""

from dataclasses import dataclass

from torch import nn

from normbench.core.validation import positive

CITE = "Ba, Kiros and Hinton, 2016, arXiv:1607.06450"


@dataclass(frozen=True, kw_only=True)
class Params:
    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self):
        positive("eps", self.eps)


def norm(site, p):
    if site.layout == "NLC":
        return nn.LayerNorm(site.features, eps=p.eps, elementwise_affine=p.affine)
    return nn.GroupNorm(1, site.features, eps=p.eps, affine=p.affine)  # one group is the whole sample


def reference(site, p, state, x):
    dims = -1 if site.layout == "NLC" else tuple(range(1, x.ndim))
    mean = x.mean(dims, keepdim=True)
    var = ((x - mean) ** 2).mean(dims, keepdim=True)
    y = (x - mean) / (var + p.eps) ** 0.5
    return y * state["weight"].view(site.shape) + state["bias"].view(site.shape) if p.affine else y
