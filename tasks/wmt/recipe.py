"""How a transformer is trained and how its translations are made. Torch-free."""

from typing import Literal

from pydantic import Field, model_validator

from normbench.core.schema import Strict


class Recipe(Strict):
    """steps: updates of Adam. max_tokens: of a batch, padding counted, on each side; update_freq: batches of one step.

    lr: the peak, reached after `warmup` steps from 1e-7; then it falls with the inverse square root of the step.
    weight_decay: fairseq's, decoupled. label_smoothing: of the cross-entropy. clip_norm: largest gradient norm, 0: as it is.
    evaluations: of the held-out loss in the run, the last at the end; a checkpoint is kept at each.
    averaged: how many of the last of these checkpoints are averaged for translating.
    beam, length_penalty, max_len_a, max_len_b: of beam search; a translation has at most max_len_a source tokens + max_len_b tokens.
    calibration_batches: for methods that calibrate on first batches.
    """

    steps: int = Field(ge=1)
    max_tokens: int = Field(ge=1)
    update_freq: int = Field(1, ge=1)
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = Field(ge=1)
    weight_decay: float = Field(0.0, ge=0)
    dropout: float = Field(ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    activation_dropout: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    clip_norm: float = Field(0.0, ge=0)
    precision: Literal["float32", "amp_float16"] = "float32"
    evaluations: int = Field(ge=1)
    averaged: int = Field(1, ge=1)
    beam: int = Field(ge=1)
    length_penalty: float = 1.0
    max_len_a: float = Field(1.2, ge=0)
    max_len_b: int = Field(10, ge=1)
    calibration_batches: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _has_checkpoints(self) -> "Recipe":
        if self.averaged > self.evaluations:
            raise ValueError(f"averaged is {self.averaged}, and evaluations, at which checkpoints are kept, only {self.evaluations}")
        if self.steps % self.evaluations:
            raise ValueError(f"steps must be a multiple of evaluations, got {self.steps} and {self.evaluations}")
        return self

    @property
    def interval(self) -> int:
        """Steps between two evaluations."""
        return self.steps // self.evaluations

    def evaluated(self) -> list[int]:
        """The steps behind which the held-out loss is looked at."""
        return list(range(self.interval, self.steps + 1, self.interval))
