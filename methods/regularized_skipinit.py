"""Regularized SkipInit: y = x + alpha_k f_k(x), alpha_k = 0 at first, with biases in the convolutions.

x, f_k(x), y: activations of one shape, the skip and the branch of block k.
alpha_k: shape (), learned, at the end of the branch.
Biases (C_out,), 0 at first, stand in every convolution, the stem's and the shortcuts' too, unless
    `biases` is false. (The last linear layer has its own.)

The third part of the paper's regularization, dropout in front of the last layer, is the recipe's (drop_fc).
The paper released no code for its networks.
"""

from dataclasses import dataclass

from normbench.hooks.reparametrization import with_bias
from normbench.hooks.residual import ScaledSum, classifies

CITE = "De and Smith, NeurIPS 2020, arXiv:2002.10444"


@dataclass(frozen=True, kw_only=True)
class Params:
    biases: bool = True


def join(site, p):
    return ScaledSum(site, gain="scalar", init=0.0)


def weight(site, p, layer):
    if p.biases and not classifies(site):
        return with_bias(layer)
    return None


def refuse(site, p):
    return "SkipInit scales residual branches, and a plain network has none" if site.role == "plain" else None


def reference(site, p, state, *tensors):
    if site.kind == "weight":
        return tensors[0]  # only the bias is new
    skip, branch = tensors
    return skip + state["gain"] * branch
