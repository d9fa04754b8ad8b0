"""Dynamic tanh: y = weight tanh(alpha x) + bias, no statistics at all.

x: any layout; alpha: one scalar a layer, `alpha_init` at first; weight, bias: (C,), at 1 and 0.

Source: Zhu et al., arXiv:2503.10622 (alpha 0.5; larger models of language take a smaller one, and another one in front
of attention). Their code gives alpha the shape (1,); here it is () so that half precision stays half.

The usual mistake: putting it in front of a network whose learning rate and alpha were tuned for another width; and, in
comparisons, giving it another learning rate than its baseline without saying so (jiachenzhu/DyT, issue 18).
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from normbench.hooks.norms import apply_affine, scale_and_shift, widened

CITE = "Zhu, Chen, He, LeCun and Liu, CVPR 2025, arXiv:2503.10622"


@dataclass(frozen=True, kw_only=True)
class Params:
    alpha_init: float = 0.5

    def __post_init__(self):
        if not (math.isfinite(self.alpha_init) and self.alpha_init != 0):
            raise ValueError(f"alpha_init must be a number other than 0, got {self.alpha_init!r}")


class DynamicTanh(nn.Module):
    def __init__(self, site, p):
        super().__init__()
        self.channel_dim = site.channel_dim
        self.alpha = nn.Parameter(torch.tensor(float(p.alpha_init)))
        self.weight, self.bias = scale_and_shift(site.features)

    def forward(self, x):
        wide = widened(x)
        y = torch.tanh(self.alpha.to(wide.dtype) * wide)
        return apply_affine(y, self.weight, self.bias, self.channel_dim).to(x.dtype)

    def extra_repr(self):
        return f"features={self.weight.numel()}"


def norm(site, p):
    return DynamicTanh(site, p)


def reference(site, p, state, x):
    e = torch.exp(2 * state["alpha"] * x)
    return state["weight"].view(site.shape) * (1 - 2 / (e + 1)) + state["bias"].view(site.shape)
