"""The norm of each output channel's weights: recorded, corrected for, or scheduled.

Norm matters (arXiv:1803.01814): under batch norm the direction of a channel's weights w moves by about
lr / ||w||^2 times its gradient, so weight decay acts through ||w|| as a learning rate. Recording ||w||
with decay on, a run without decay recovers the same steps with lr ||w||^2 / ||w_on||^2 (eq. 4), and
scheduling ||w|| replaces scheduling the rate.

The released code scales the whole displacement, momentum included, by the ratio; so does this.
"""

import numpy as np
import torch
from torch import Tensor, nn

from normbench.config.recipe import Recipe

Norms = dict[str, np.ndarray]  # weight's name -> (records, channels)


def controlled_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The convolutions' weights, by name: what the paper records and corrects."""
    return {name: p for name, p in model.named_parameters() if p.ndim > 2}


def channel_norms(weight: Tensor) -> Tensor:
    """||w_i|| of each output channel i; weight (C_out, ...) -> (C_out,)."""
    return weight.detach().flatten(1).norm(dim=1)


class NormControl:
    """What the training loop calls around each step; does nothing where the recipe controls nothing."""

    def __init__(self, model: nn.Module, recipe: Recipe, every: int, total: int, recorded: Norms | None):
        self.mode, self.recipe, self.every, self.total = recipe.norm_control, recipe, every, total
        self.weights = controlled_weights(model) if self.mode != "none" else {}
        self.given = {k: torch.from_numpy(v) for k, v in (recorded or {}).items()}
        self.records: dict[str, list[Tensor]] = {name: [] for name in self.weights}
        self._before: dict[str, Tensor] = {}

    def scheduled_ids(self) -> set[int]:
        """Weights that keep the peak rate because their norm is scheduled instead."""
        return {id(w) for w in self.weights.values()} if self.mode == "schedule" else set()

    @torch.no_grad()
    def before_step(self) -> None:
        if self.mode == "correct_lr":
            self._before = {name: w.detach().clone() for name, w in self.weights.items()}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """step: the 0-based number of the step just taken."""
        if self.mode == "correct_lr":
            self._correct(step)
        elif self.mode == "schedule":
            self._schedule(step)
        elif self.mode == "record" and (step + 1) % self.every == 0:
            for name, w in self.weights.items():
                self.records[name].append(channel_norms(w).cpu())

    def _correct(self, step: int) -> None:
        for name, w in self.weights.items():
            old = self._before[name]
            ratio = (channel_norms(old) / self._given(name, step, old)).square()
            w.copy_(old + ratio.view(-1, *[1] * (w.ndim - 1)) * (w - old))

    def _schedule(self, step: int) -> None:
        passed = sum((step + 1) / self.total >= m for m in self.recipe.milestones)
        grown = self.recipe.gamma ** (-0.5 * passed)
        for name, w in self.weights.items():
            target = self._given(name, step, w) * grown
            w.mul_((target / channel_norms(w)).view(-1, *[1] * (w.ndim - 1)))

    def _given(self, name: str, step: int, like: Tensor) -> Tensor:
        rows = self.given[name]
        return rows[min(step // self.every, len(rows) - 1)].to(like)

    def arrays(self) -> Norms:
        """What was recorded, for the file beside the record."""
        return {name: torch.stack(rows).numpy() for name, rows in self.records.items() if rows}

    def state_dict(self) -> dict:
        return {name: torch.stack(rows) for name, rows in self.records.items() if rows}

    def load_state_dict(self, state: dict) -> None:
        for name, rows in state.items():
            self.records[name] = list(rows)
