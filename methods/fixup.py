"""Fixup: y = x + m_k F_k(x), weights scaled by L^(-1/(2m - 2)), the last of each branch zero, scalar biases.

x, F_k(x), y: activations of one shape, the skip and the branch of block k of L, of m weight layers.
m_k: shape (), learned, one at first.

1. The classifier and the last weight layer of each branch start at zero.
2. The other layers keep the model's initialization; those inside branches are multiplied by L^(-1/(2m - 2)).
3. A scalar bias (), zero at first, stands in front of each convolution, linear layer and activation, but
   for the input; with one activation after the join it is the same as the code's bias behind m_k.

Paper and released code (hongyi-zhang/Fixup) differ in the biases of projections: the paper's rule gives each
projection its own, which is done here; the code lets it use the first bias of the branch (four scalars fewer
in a ResNet-50). The code draws the layers of rule 2 from N(0, 2 / (k^2 C_out)): init fan_out of the models.
The code, not the paper's rules, trains scalars and all biases, the classifier's too, at a tenth of the
learning rate (`lr_scale`); it decays all parameters.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.hooks.residual import Bias, ScaledSum, classifies, own_parameters

CITE = "Zhang, Dauphin and Ma, ICLR 2019, arXiv:1901.09321"


@dataclass(frozen=True, kw_only=True)
class Params:
    lr_scale: float = 0.1

    def __post_init__(self):
        if not 0 < self.lr_scale <= 1:
            raise ValueError(f"lr_scale must be above 0 and at most 1, got {self.lr_scale!r}")


def join(site, p):
    return ScaledSum(site, gain="scalar", init=1.0)


def bias(site, p):
    if site.follows == "input" or site.precedes == "pool":
        return None
    return Bias(site)


@torch.no_grad()
def initialize(model, sites, p):
    for placed in sites:
        site = placed.site
        if site.kind != "weight":
            continue
        if classifies(site) or (site.role == "branch" and site.position == site.length - 1):
            placed.module.weight.zero_()
            if placed.module.bias is not None:
                nn.init.zeros_(placed.module.bias)
        elif site.role == "branch":
            placed.module.weight.mul_(site.depth ** (-1 / (2 * site.length - 2)))


def groups(model, sites, p):
    heads = [s.module.bias for s in sites if s.site.kind == "weight" and classifies(s.site) and s.module.bias is not None]
    return [{"params": own_parameters(sites, Bias, ScaledSum) + heads, "lr_scale": p.lr_scale}]


def refuse(site, p):
    return "Fixup scales residual branches, and a plain network has none" if site.role == "plain" else None


def reference(site, p, state, *tensors):
    if site.kind == "bias":
        return tensors[0] + state["bias"]
    skip, branch = tensors
    return skip + state["gain"] * branch
