"""From a recipe and a method's wishes to an optimizer: parameter groups, weight decay, learning rates."""

from inspect import unwrap

import torch
from torch import nn

from normbench.config.recipe import Recipe
from normbench.core.errors import InputError


def _uncompiled(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """torch's optimizer without the wrappers that keep torch's compiler away from it.

    They import the compiler for that, more than a second in front of every job, and no optimizer is compiled here.
    """
    bare = {name: unwrap(getattr(kind, name)) for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict")}
    return type(kind.__name__, (kind,), {**bare, "step": torch.no_grad()(unwrap(kind.step))})


SGD, Adam = _uncompiled(torch.optim.SGD), _uncompiled(torch.optim.Adam)


def make_optimizer(model: nn.Module, recipe: Recipe, controlled: set[int] = frozenset()) -> torch.optim.Optimizer:
    """The recipe's optimizer over parameter groups.

    model: built by the Builder, so that it carries its sites, method and params.
    controlled: ids of weights whose rate a norm schedule takes over: their group has "scheduled" False.
    Each group holds "lr_scale", by which the scheduled rate is multiplied.
    """
    groups = _groups(model, recipe, controlled)
    if recipe.optimizer == "adam":
        return Adam(groups, lr=recipe.lr, betas=recipe.betas)
    return SGD(groups, lr=recipe.lr, momentum=recipe.momentum)


def set_lr(optimizer: torch.optim.Optimizer, lr: float, peak: float) -> None:
    """Put the rate of this step into every group."""
    for group in optimizer.param_groups:
        group["lr"] = (lr if group["scheduled"] else peak) * group["lr_scale"]


def _groups(model: nn.Module, recipe: Recipe, controlled: set[int]) -> list[dict]:
    wishes = _wishes(model)
    head = {id(p) for site in model.sites if site.site.role == "head" and site.module is not None for p in site.module.parameters()}
    by_key: dict[tuple, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        scale, decay = wishes.get(id(parameter), (1.0, None))
        if decay is None:
            decay = recipe.weight_decay if _decays(parameter, recipe.decay, head) else 0.0
        by_key.setdefault((scale, decay, id(parameter) not in controlled), []).append(parameter)
    return [
        {"params": params, "lr_scale": scale, "weight_decay": decay, "scheduled": scheduled}
        for (scale, decay, scheduled), params in by_key.items()
    ]


def _wishes(model: nn.Module) -> dict[int, tuple[float, float | None]]:
    """id of parameter -> (lr_scale, weight_decay or None), as the method's groups() say."""
    wishes: dict[int, tuple[float, float | None]] = {}
    for group in model.method.groups(model, model.sites, model.method_params):
        unknown_keys = set(group) - {"params", "lr_scale", "weight_decay"}
        if unknown_keys:
            raise InputError(f"{model.method.file}: groups: {sorted(unknown_keys)[0]!r} is no key (known: params, lr_scale, weight_decay)")
        for parameter in group["params"]:
            if id(parameter) in wishes:
                raise InputError(f"{model.method.file}: groups: one parameter stands in two groups")
            wishes[id(parameter)] = (group.get("lr_scale", 1.0), group.get("weight_decay"))
    return wishes


def _decays(parameter: nn.Parameter, decay: str, head: set[int]) -> bool:
    if decay == "head":
        return id(parameter) in head
    return decay == "all" or parameter.ndim > 1
