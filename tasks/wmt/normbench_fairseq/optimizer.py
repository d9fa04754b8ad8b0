"""fairseq's Adam over parameter groups: each parameter may carry a learning-rate multiplier and a weight decay of its own."""

from fairseq.optim import register_optimizer
from fairseq.optim.adam import FairseqAdam, FairseqAdamConfig
from torch import nn

from normbench.config.recipe import Recipe
from normbench.training.optimizer import make_optimizer

NAME = "normbench_adam"


def mark_groups(model: nn.Module, weight_decay: float) -> None:
    """Write on each parameter what the model's method wants: lr_scale and own_decay, the recipe's decay where it wants no other."""
    wanted = make_optimizer(model, Recipe(steps=1, batch_size=1, optimizer="adam", lr=1.0, weight_decay=weight_decay))
    for group in wanted.param_groups:
        for parameter in group["params"]:
            parameter.lr_scale, parameter.own_decay = group["lr_scale"], group["weight_decay"]


@register_optimizer(NAME, dataclass=FairseqAdamConfig)
class MethodAdam(FairseqAdam):
    """Groups in the order in which their first parameters come; the scheduled rate times lr_scale is each group's."""

    def __init__(self, cfg: FairseqAdamConfig, params):
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in params:
            key = getattr(parameter, "lr_scale", 1.0), getattr(parameter, "own_decay", cfg.weight_decay)
            groups.setdefault(key, []).append(parameter)
        super().__init__(cfg, [{"params": own, "lr_scale": scale, "weight_decay": decay} for (scale, decay), own in groups.items()])

    def get_lr(self) -> float:
        group = self.param_groups[0]
        return group["lr"] / group["lr_scale"]

    def set_lr(self, lr: float) -> None:
        for group in self.param_groups:
            group["lr"] = lr * group["lr_scale"]
