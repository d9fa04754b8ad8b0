"""NF-ResNet: y = x + alpha s_k f_k(x / beta_k), weights standardized, activations scaled, gradients clipped.

x, f_k, y: activations of one shape, the skip and the branch of pre-activation block k; s_k (), learned, `skip_gain` at
    first (None: no s_k).
beta_k: sqrt(Var_k), the deviation that x has by construction: Var_1 = 1, Var_(k+1) = Var_k + alpha^2, and
    1 + alpha^2 behind a transition, whose projection takes the scaled activation instead of x.
activation: gamma relu(x), gamma = sqrt(2) / sqrt(1 - 1/pi).
weights: all but the last linear layer: g_i (v_i - mean(v_i)) / sqrt(max(sigma(v_i)^2 N, eps)) over the N raw weights of an
    output channel, with a learned gain g (C_out, 1, ...), one at first, and a bias (C_out,), zero at first.
clipping: lambda of adaptive gradient clipping: the gradient G_i of each output channel of a weight W_i, and
    of each bias and gain as a whole, is multiplied by lambda max(||W_i||, clipping_eps) / ||G_i|| where
    that is below one; the last linear layer is left out. None: no clipping, as in the first paper.
groups: gains, biases and s_k take no weight decay.

The released code of the second paper has gamma 1.7139588594436646, measured on samples, and eps 1e-4 as here.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normbench.hooks.reparametrization import ScaledWeightStandardization, channel_norm, reparametrize, scaled_relu, with_bias
from normbench.hooks.residual import ScaledSum, classifies

CITE = "Brock, De and Smith, ICLR 2021, arXiv:2101.08692; clipping: Brock, De, Smith and Simonyan, ICML 2021, arXiv:2102.06171"
VARIANTS = [{"skip_gain": None}]


@dataclass(frozen=True, kw_only=True)
class Params:
    alpha: float = 0.2
    gamma: float = 1.7128585504496627
    eps: float = 1e-4
    skip_gain: float | None = 0.0
    clipping: float | None = 0.01
    clipping_eps: float = 1e-3

    def __post_init__(self):
        for name in ("alpha", "gamma", "eps", "clipping_eps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}")
        if self.clipping is not None and not self.clipping > 0:
            raise ValueError(f"clipping must be above 0 or null, got {self.clipping!r}")
        if self.skip_gain is not None and not math.isfinite(self.skip_gain):
            raise ValueError(f"skip_gain must be a number or null, got {self.skip_gain!r}")


class Downscale(nn.Module):
    """x / beta; beta () is a buffer, set when all blocks are known."""

    def __init__(self):
        super().__init__()
        self.register_buffer("beta", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x / self.beta


def norm(site, p):
    return Downscale() if site.role == "branch" and site.position == 0 else None


def activation(site, p, act):
    return scaled_relu(site, act, p.gamma)


def weight(site, p, layer):
    if classifies(site):
        return None
    layer = with_bias(layer)
    return reparametrize(layer, ScaledWeightStandardization(layer.weight, gamma=1.0, eps=p.eps, bound="sum"))


def join(site, p):
    return ScaledSum(site, branch_scale=p.alpha, gain=None if p.skip_gain is None else "scalar", init=p.skip_gain or 0.0)


def initialize(model, sites, p):
    var = 1.0
    for placed in sorted((s for s in sites if isinstance(s.module, Downscale)), key=lambda s: s.site.k):
        placed.module.beta.fill_(math.sqrt(var))
        var = (1.0 if placed.site.transition else var) + p.alpha**2


@torch.no_grad()
def clip(model, sites, p):
    if p.clipping is None:
        return
    head = {id(w) for s in sites if s.site.kind == "weight" and classifies(s.site) for w in s.module.parameters()}
    for w in model.parameters():
        if w.grad is not None and id(w) not in head:
            limit, norm = p.clipping * _unit_norm(w).clamp(min=p.clipping_eps), _unit_norm(w.grad)
            w.grad.mul_(torch.where(norm > limit, limit / norm, 1.0))


def _unit_norm(w):
    """The norm of each output channel of a weight; of a bias or gain (at most one dimension above 1), of the whole."""
    return w.norm() if w.squeeze().ndim <= 1 else channel_norm(w)


def groups(model, sites, p):
    undecayed = [w for name, w in model.named_parameters() if name.rsplit(".", 1)[-1] in ("bias", "gain")]
    return [{"params": undecayed, "weight_decay": 0.0}]


def refuse(site, p):
    if site.role == "plain":
        return "NF-ResNets scale residual branches, and a plain network has none"
    if site.version == 1:
        return "NF-ResNets are derived for blocks that activate before the branch: build the model with version 2"
    return None


def reference(site, p, state, *tensors):
    x = tensors[0]
    if site.kind == "norm":
        return x / state["beta"]
    if site.kind == "activation":
        return p.gamma * torch.where(x > 0, x, 0)
    if site.kind == "join":
        skip, branch = tensors
        return skip + p.alpha * (1.0 if p.skip_gain is None else state["gain"]) * branch
    gain, rows = state["parametrizations.weight.0.gain"], []
    for g, v in zip(gain, x, strict=True):
        centered = v - v.sum() / v.numel()
        rows.append(g * centered / max((centered * centered).sum().item(), p.eps) ** 0.5)
    return torch.stack(rows)
