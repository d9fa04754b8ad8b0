"""Scaled residual sum: y = constant (x + f(x)), constant = sqrt(1/2).

x, f(x), y: activations of one shape, the skip and the branch of a block. Where both have the same variance and are
    uncorrelated, y has it too; but block k's share of the output's variance is 2^-(d - k + 1), which is why
    SkipInit's paper (arXiv:2002.10444) has it as the control that does not train deep networks.
batch_norm: put batch normalization, (x - mean) / sqrt(var + 1e-5) weight + bias over batch and positions
    with torch's momentum 0.1, at the norm sites too: a normalized network with scaled sums.

Neither paper that measures it (SkipInit's, Fixup's) released code for it.
"""

from dataclasses import dataclass

from torch import nn

from normbench.hooks.residual import ScaledSum

CITE = "De and Smith, NeurIPS 2020, arXiv:2002.10444; also Zhang, Dauphin and Ma, ICLR 2019, arXiv:1901.09321, figure 3"


@dataclass(frozen=True, kw_only=True)
class Params:
    constant: float = 0.7071067811865476
    batch_norm: bool = False

    def __post_init__(self):
        if not 0 < self.constant <= 1:
            raise ValueError(f"constant must be above 0 and at most 1, got {self.constant!r}")


def join(site, p):
    return ScaledSum(site, skip_scale=p.constant, branch_scale=p.constant)


def norm(site, p):
    if not p.batch_norm:
        return None
    return {"NCHW": nn.BatchNorm2d, "NCTHW": nn.BatchNorm3d}[site.layout](site.features)


def refuse(site, p):
    if site.role == "plain":
        return "it scales residual sums, and a plain network has none"
    if site.kind == "norm" and p.batch_norm and site.layout == "NLC":
        return "its batch normalization is for images and clips; tokens of unequal length have no batch statistics"
    return None


def reference(site, p, state, *tensors):
    if site.kind == "join":
        skip, branch = tensors
        return p.constant * (skip + branch)
    x = tensors[0]
    centered = x - x.mean(site.reduce_dims, keepdim=True)
    deviation = (centered.square().mean(site.reduce_dims, keepdim=True) + 1e-5).sqrt()
    return centered / deviation * state["weight"].view(site.shape) + state["bias"].view(site.shape)
