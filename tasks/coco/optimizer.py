"""The recipe's optimizer, the method's wishes in it, and norms without weight decay where the recipe says so."""

import torch
from torch import nn

from normbench.training.optimizer import make_optimizer
from tasks.coco.recipe import Recipe


def optimizer_of(detector: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Parameter groups as everywhere in the suite (normbench/training/optimizer.py); what stands at norm sites in groups of its own."""
    optimizer = make_optimizer(detector, recipe)
    if recipe.decay_norms:
        return optimizer
    norms = {id(p) for placed in detector.sites if placed.site.kind == "norm" and placed.module for p in placed.module.parameters()}
    for group in list(optimizer.param_groups):
        own = [p for p in group["params"] if id(p) in norms]
        if own and group["weight_decay"]:
            group["params"] = [p for p in group["params"] if id(p) not in norms]
            optimizer.add_param_group({**group, "params": own, "weight_decay": 0.0})
    return optimizer
