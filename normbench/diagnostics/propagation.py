"""What an untrained network does to a signal and to its gradient, block by block: one forward and one backward pass.

Hooks read everything and the model is left as it was. A block is a join of a residual network, an activation of a plain
one. Values are single precision, as in training; what is summed over them is summed in double precision. N samples, C
channels, F features a sample. Similarity and ranks are of samples scaled to length one, and "penultimate" is the last
activation before the pool, as in the released code of Beyond BatchNorm (arXiv:2106.05956; layer_defs.py @2ab1626).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normbench.diagnostics.probes import Probe, dead_share, untouched
from normbench.diagnostics.similarity import mean_abs_correlation, ranks, similarity, unit_rows
from normbench.hooks.builder import Placed


@dataclass
class Signal:
    """rows: probes, one a block and quantity. metrics: one number each. broken: (block, sentence) where it is not finite."""

    rows: list[Probe] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    broken: tuple[int, str] | None = None


@dataclass
class _Block:
    """What is known of one block; grams are kept until all spectra are computed at once."""

    placed: Placed
    k: int
    values: dict[str, float] = field(default_factory=dict)
    gram: Tensor | None = None
    features: int = 0


def measure(model: nn.Module, x: Tensor, y: Tensor, *, everything: bool = True, ends: bool = False) -> Signal:
    """All quantities of `model` on the batch x (N, ...) with labels y (N,), in training mode, for the mean cross-entropy.

    everything: False leaves out what needs products of all samples or all channels at each block, which is most of the time.
    ends: True leaves out all blocks but the first and the last too, and what is known of their weights.

    Per block: variance, mean, skip and branch variances, skip_over_branch (ratio of standard deviations), contribution (root
    mean square of what the branch adds, times what later joins multiply it by), cosine_similarity, stable_rank, numerical_rank,
    mean_abs_correlation, dead_fraction, gradient_norm (of its output), weight_gradient_norm and loss_change (the first-order
    decrease of the loss per unit of learning rate through its parameters: their squared gradient).
    """
    blocks = _blocks(model)
    depth = len(blocks)
    if ends:
        everything, blocks = False, blocks[:1] + blocks[1:][-1:]
    seen: dict[str, Tensor] = {}
    with untouched(model), _hooks(model, blocks, seen, everything):
        model.train()
        loss = F.cross_entropy(model(x).float(), y)
        loss_value = float(loss.detach())
        parameters = [p for p in model.parameters() if p.requires_grad]
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
    by_id = {id(p): g for p, g in zip(parameters, grads, strict=True) if g is not None}
    _spectra(blocks)
    _contributions(blocks)
    if not ends:
        _weight_gradients(model, blocks, by_id)
    signal = Signal(broken=_broken(blocks, depth, loss_value))
    for block in blocks:
        site = block.placed.site
        signal.rows += [
            {"layer": site.name, "k": block.k, "depth": depth, "quantity": name, "value": value}
            for name, value in block.values.items()
            if math.isfinite(value)
        ]
    if signal.broken is None:
        signal.metrics = _metrics(model, blocks, by_id, seen, loss_value)
    return signal


def _blocks(model: nn.Module) -> list[_Block]:
    joins = [p for p in model.sites if p.site.kind == "join"]
    plain = [p for p in model.sites if p.site.kind == "activation" and p.site.role == "plain" and p.module is not None]
    return [_Block(placed, k) for k, placed in enumerate(joins or plain, 1)]


@contextmanager
def _hooks(model: nn.Module, blocks: list[_Block], seen: dict[str, Tensor], everything: bool) -> Iterator[None]:
    handles = [b.placed.module.register_forward_hook(_reader(b, everything)) for b in blocks]
    by_k = {b.k: b for b in blocks}
    for placed in model.sites:
        if placed.site.kind == "activation" and placed.module is not None:
            handles.append(placed.module.register_forward_hook(_activation(placed, by_k.get(placed.site.k), seen)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _reader(block: _Block, everything: bool) -> Callable:
    def hook(module, inputs, output):
        if output.requires_grad:
            output.register_hook(lambda grad: block.values.update(gradient_norm=float(grad.double().norm())))
        with torch.no_grad():
            wide = output.detach().double()
            block.values["variance"] = float(wide.var(correction=0))
            if not everything:
                return
            block.gram, block.features = _products(block, wide), output[0].numel()
            if block.placed.site.kind == "join":
                _sum(block, module, inputs[0].detach(), inputs[1].detach(), wide)
            else:
                block.values["variance_before"] = float(inputs[0].detach().double().var(correction=0))

    return hook


def _products(block: _Block, output: Tensor) -> Tensor:
    """Mean, similarity and correlation of a block's output; returns the Gram matrix (N, N) of its samples scaled to length one."""
    units = unit_rows(output.flatten(1))
    gram = units @ units.T
    block.values["mean"] = float(output.mean())
    block.values["cosine_similarity"] = similarity(gram)
    block.values["mean_abs_correlation"] = mean_abs_correlation(output.movedim(block.placed.site.channel_dim, 0).flatten(1))
    return gram


def _sum(block: _Block, module: nn.Module, skip: Tensor, branch: Tensor, output: Tensor) -> None:
    through = module.forward(skip, torch.zeros_like(branch))  # what is left of the skip; not a call, whose hooks would run again
    skip, through = skip.double(), through.double()
    skip_std, branch_std = (float(t.std(correction=0)) for t in (skip, branch.double()))
    block.values |= {"variance_skip": skip_std**2, "variance_branch": branch_std**2}
    if branch_std > 0:
        block.values["skip_over_branch"] = skip_std / branch_std
    size = _rms(skip)
    block.values["_keeps"] = _rms(through) / size if size else 0.0
    block.values["_adds"] = _rms(output - through)


def _activation(placed: Placed, block: _Block | None, seen: dict[str, Tensor]) -> Callable:
    def hook(module, inputs, output):
        if output.ndim > 2:  # the last that has positions stays
            seen["penultimate"] = output.detach()
        if block is None:
            return
        share = dead_share(placed.site, output.detach())
        block.values["dead_fraction"] = max(block.values.get("dead_fraction", 0.0), share)

    return hook


def _spectra(blocks: list[_Block]) -> None:
    whole = [b for b in blocks if b.gram is not None and bool(torch.isfinite(b.gram).all())]
    if not whole:
        return
    stable, numerical = ranks(torch.stack([b.gram for b in whole]), [b.features for b in whole])
    for block, s, n in zip(whole, stable.tolist(), numerical.tolist(), strict=True):
        block.values |= {"stable_rank": s, "numerical_rank": float(n)}
        block.gram = None


def _contributions(blocks: list[_Block]) -> None:
    """From the last block to the first: what a branch adds, times all that later joins leave of it."""
    kept = 1.0
    for block in reversed(blocks):
        if "_adds" in block.values:
            block.values["contribution"] = block.values.pop("_adds") * kept
            kept *= block.values.pop("_keeps")


def _weight_gradients(model: nn.Module, blocks: list[_Block], grads: dict[int, Tensor]) -> None:
    by_k: dict[int, dict[int, Tensor]] = {}
    for placed in model.sites:
        if placed.site.k is not None and placed.module is not None:
            mine = {id(p): grads[id(p)] for p in placed.module.parameters() if id(p) in grads}
            by_k.setdefault(placed.site.k, {}).update(mine)
    for block in blocks:
        squares = sum(float(g.double().square().sum()) for g in by_k.get(block.k, {}).values())
        block.values |= {"weight_gradient_norm": math.sqrt(squares), "loss_change": squares}


def _broken(blocks: list[_Block], depth: int, loss: float) -> tuple[int, str] | None:
    for block in blocks:
        if not math.isfinite(block.values.get("variance", 0.0)):
            return block.k, f"the signal explodes at block {block.k} of {depth}"
    for block in reversed(blocks):
        if not math.isfinite(block.values.get("loss_change", block.values.get("gradient_norm", 0.0))):
            return block.k, f"the gradient explodes at block {block.k} of {depth}"
    return None if math.isfinite(loss) else (depth, "the loss is not finite behind the last block")


def _metrics(model: nn.Module, blocks: list[_Block], grads: dict[int, Tensor], seen: dict[str, Tensor], loss: float) -> dict[str, float]:
    units = unit_rows(seen["penultimate"].flatten(1).double())
    gram = units @ units.T
    stable, numerical = ranks(gram, units.shape[1])
    first, last = blocks[0].values, blocks[-1].values
    stem = next(p.module for p in model.sites if p.site.kind == "weight")
    dead = [b.values["dead_fraction"] for b in blocks if "dead_fraction" in b.values]
    metrics = {
        "init_loss": loss,
        "penultimate_cosine_similarity": similarity(gram),
        "penultimate_stable_rank": float(stable),
        "penultimate_numerical_rank": float(numerical),
        "first_layer_gradient_norm": math.sqrt(
            sum(float(grads[id(p)].double().square().sum()) for p in stem.parameters() if id(p) in grads)
        ),
    }
    if correlations := [b.values["mean_abs_correlation"] for b in blocks if "mean_abs_correlation" in b.values]:
        metrics["mean_abs_correlation"] = sum(correlations) / len(correlations)
    if first["variance"] > 0 and last["variance"] > 0:
        metrics["variance_ratio"] = last["variance"] / first["variance"]
    if first.get("gradient_norm") and last.get("gradient_norm"):
        metrics["gradient_ratio"] = first["gradient_norm"] / last["gradient_norm"]
    if dead:
        metrics["dead_fraction_init"] = sum(dead) / len(dead)
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def _rms(x: Tensor) -> float:
    return float(x.double().norm()) / math.sqrt(x.numel())
