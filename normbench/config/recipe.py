"""A recipe: everything about a training that is neither model, data nor method. Torch-free.

Budgets and milestones are given so that they survive another budget: warm-up and milestones are
fractions of it. Rates are the published ones, per recipe in tasks/<task>/task.yaml with sources.
"""

import math
from typing import Literal

from pydantic import Field, model_validator

from normbench.core.schema import Strict

Precision = Literal["float32", "amp_float16", "amp_bfloat16", "emulated_float16", "emulated_bfloat16"]


class Recipe(Strict):
    """Fields are in the order in which a paper's appendix gives them.

    epochs or steps: the budget (exactly one). batch_size: samples a step over all devices.
    device_batch_size: the most of them that one device passes through the network at once, and so the batch of which batch norm takes
        its statistics; the gradients of more are accumulated. None: one device takes all.
    lr: the peak rate. schedule: constant; step (times gamma at each milestone); cosine (to zero);
        halving (constant to the first milestone, then halved `halvings` times at equal distances);
        exponential (lr times growth every step: Li and Arora).
    warmup, milestones: fractions of the budget; warm-up is linear from zero, and milestones count what follows it.
    decay: which parameters the weight decay applies to: all, weights (two or more dimensions), head.
    grad_clip: largest global gradient norm. augment: a name that the task's data knows.
    precision: amp_* is autocast with a scaler for float16; emulated_* rounds the result of every
        operation, forward and backward, to that format.
    norm_control: how the norm of each output channel's weights is used (Norm matters, arXiv:1803.01814):
        record keeps them every epoch; correct_lr scales a channel's step by ||w||^2 / ||w_recorded||^2;
        schedule sets the norm to the recorded one times sqrt(1/gamma) for each milestone passed, at a constant lr.
    norm_every: steps between two recorded norms (an epoch where it is None).
    evaluations: how many times in the run the held-out set is looked at, the last at the end.
    """

    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=1)
    batch_size: int = Field(ge=1)
    device_batch_size: int | None = Field(None, ge=1)
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.0, ge=0)
    decay: Literal["all", "weights", "head"] = "all"
    schedule: Literal["constant", "step", "cosine", "halving", "exponential"] = "constant"
    warmup: float = Field(0.0, ge=0, lt=1)
    milestones: tuple[float, ...] = ()
    gamma: float = Field(0.1, gt=0)
    halvings: int = Field(10, ge=1)
    growth: float = Field(1.0, gt=0)
    mixup: float = Field(0.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    drop_fc: float = Field(0.0, ge=0, lt=1)
    drop_conv: float = Field(0.0, ge=0, lt=1)
    grad_clip: float | None = Field(None, gt=0)
    augment: str = "none"
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False
    norm_control: Literal["none", "record", "correct_lr", "schedule"] = "none"
    norm_every: int | None = Field(None, ge=1)
    evaluations: int = Field(1, ge=1)
    calibration_batches: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("exactly one of epochs and steps must be given")
        if self.schedule in ("step", "halving") and not self.milestones:
            raise ValueError(f"schedule {self.schedule!r} needs milestones")
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise ValueError("milestones must be ascending fractions between 0 and 1")
        return self

    def total_steps(self, epoch_steps: int) -> int:
        """Steps of the whole run where an epoch has `epoch_steps`."""
        return self.steps if self.steps is not None else max(1, math.ceil(self.epochs * epoch_steps))

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of step `step` (0-based) of `total`."""
        warm = round(self.warmup * total)
        if step < warm:
            return self.lr * (step + 1) / warm
        done = (step - warm) / max(1, total - warm)
        return self.lr * self._factor(done, step)

    def _factor(self, done: float, step: int) -> float:
        if self.schedule == "step":
            return self.gamma ** sum(done >= m for m in self.milestones)
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "halving":
            first = self.milestones[0]
            passed = 0 if done < first else 1 + int((done - first) / (1 - first) * self.halvings)
            return 0.5 ** min(passed, self.halvings)
        if self.schedule == "exponential":
            return self.growth**step
        return 1.0
