"""Identities that hold up to rounding, in double precision: what a norm does to its weights' scale, and what a scale does to training.

For y = norm(w * x), s = <y, u> with a fixed random u, and g = ds/dw:
    output(c w) = output(w),  c g(c w) = g(w),  <w, g> = 0        (Norm matters, arXiv:1803.01814, section 2)
Gradient descent on w' -> L(w' / c) from c w at c^2 times the rate takes the steps of gradient descent on L from w, times c.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from normbench.core.errors import InputError
from normbench.diagnostics.probes import Probe, untouched
from normbench.hooks.builder import Placed


def invariance(model: nn.Module, x: Tensor, scale: float) -> list[Probe]:
    """Rows output, output_behind_relu, gradient_times_scale and weight_gradient_orthogonality of each convolution before a norm.

    The first three are products with fixed random tensors, equal at every `scale` where the identities hold; the
    last is 1 - |cos(w, g)|, which is 1 where they do. model, x: float64.
    """
    pairs = _pairs(model)
    if not pairs:
        raise InputError(f"{model.method.file}: no norm stands behind a convolution of this model: there is no scale to ignore")
    inputs: dict[str, Tensor] = {}
    handles = [w.module.register_forward_pre_hook(_keep(inputs, w.site.name)) for w, _ in pairs]
    with untouched(model), torch.no_grad():
        model.train()
        model(x)
    for handle in handles:
        handle.remove()
    rows = []
    with untouched(model):
        model.train()
        for k, (weight, norm) in enumerate(pairs, 1):
            for quantity, value in _identities(weight.module, norm.module, inputs[weight.site.name], scale, k).items():
                rows.append({"layer": weight.site.name, "k": k, "depth": len(pairs), "quantity": quantity, "value": value})
    return rows


def _pairs(model: nn.Module) -> list[tuple[Placed, Placed]]:
    """Each convolution and the norm directly behind it."""
    sites = [p for p in model.sites if p.site.kind in ("weight", "norm")]
    return [
        (a, b)
        for a, b in pairwise(sites)
        if a.site.kind == "weight" and a.site.precedes == "norm" and b.site.kind == "norm" and b.module is not None
    ]


def _keep(inputs: dict[str, Tensor], name: str) -> Callable:
    def hook(module, given):
        inputs[name] = given[0].detach()

    return hook


def _identities(layer: nn.Module, norm: nn.Module, x: Tensor, scale: float, k: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(k)
    weight = (scale * layer.weight.detach()).requires_grad_()
    y = functional_call(layer, {"weight": weight}, x)
    u, direction = (torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in (y, weight))
    out = (norm(y) * u).sum()
    (gradient,) = torch.autograd.grad(out, weight, retain_graph=True)
    cosine = float((weight.detach() * gradient).sum() / (weight.detach().norm() * gradient.norm()))
    return {
        "output": float(out.detach()),
        "output_behind_relu": float((norm(F.relu(y.detach())) * u).sum().detach()),
        "gradient_times_scale": scale * float((gradient * direction).sum()),
        "weight_gradient_orthogonality": 1 - abs(cosine),
    }


def trajectory(model: nn.Module, batches: Iterator[tuple[Tensor, Tensor]], scale: float, lr: float, steps: int) -> list[tuple[int, float]]:
    """(step, loss before it) of SGD with momentum 0.9 on L(w / scale), started from scale x w at scale^2 x lr. model, batches: float64."""
    weights = {name: (scale * p.detach()).requires_grad_() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(list(weights.values()), lr=scale**2 * lr, momentum=0.9)
    model.train()
    curve = []
    for step in range(steps):
        x, y = next(batches)
        loss = F.cross_entropy(functional_call(model, {name: w / scale for name, w in weights.items()}, x), y)
        curve.append((step + 1, float(loss.detach())))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return curve
