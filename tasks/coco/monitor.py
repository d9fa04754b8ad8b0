"""What is kept of a training whichever engine runs it: curves, divergence, evaluations, checkpoints, and where it goes on."""

import math
import time
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from normbench.execution.task_api import Context
from normbench.training.checkpoint import set_rng_state
from normbench.training.loop import Interrupted, Trained, _stop_signal
from normbench.training.window import CURVE_POINTS, EXPLODED
from tasks.coco.recipe import Recipe

SHOWN = 0.5  # seconds between two reports of progress


class Diverged(Exception):
    """The training left the numbers that a training can have; the reason is in the record."""


class Monitor:
    """Told after each step; ends the training by an exception (Diverged, or Interrupted with the checkpoint written).

    detector, optimizer: what is trained. total: steps. evaluate(): metrics on held-out data.
    trained: what came of it so far.
    """

    def __init__(
        self,
        detector: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        total: int,
        context: Context,
        evaluate: Callable[[], dict[str, float]],
    ):
        self.detector, self.optimizer, self.recipe, self.total = detector, optimizer, recipe, total
        self.context, self.device, self.evaluate = context, context.device, evaluate
        self.trained = Trained()
        self.window = math.ceil(total / CURVE_POINTS)
        self.eval_steps = {max(1, round(total * (i + 1) / recipe.evaluations)) for i in range(recipe.evaluations)}
        self._sums: dict[str, float] = {}
        self._count = 0
        self._states: dict[str, Any] = {}
        self._shown = 0.0

    def __enter__(self) -> "Monitor":
        self._stop_signal = _stop_signal()
        self._stop = self._stop_signal.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop_signal.__exit__(*error)

    def resume(self, states: dict[str, Any]) -> int:
        """Load the checkpoint, where there is one to go on from, and return the step that comes next.

        states: name -> what of the engine has a state_dict and a load_state_dict and belongs in the checkpoint beside the model.
        """
        self._states = states
        kept = self.context.checkpoints.load(self.device) if self.context.checkpoints else None
        if kept is not None:
            self.detector.load_state_dict(kept["model"])
            for name, one in states.items():
                one.load_state_dict(kept["states"][name])
            self.trained.curves = {name: [tuple(p) for p in points] for name, points in kept["curves"].items()}
            self._sums, self._count = dict(kept["sums"]), kept["count"]
            for name in ("seconds", "step_seconds", "samples"):
                setattr(self.trained, name, kept[name])
            set_rng_state(kept["rng"])
        self._began = time.perf_counter() - self.trained.seconds
        self._tick = time.perf_counter()
        return kept["step"] if kept else 0

    @staticmethod
    def is_finite(loss: Tensor) -> bool:
        return bool(torch.isfinite(loss))

    def after_backward(self, scaler: torch.amp.GradScaler | None = None) -> None:
        """Clip the gradients, as the method and the recipe want it, before the optimizer's step."""
        method, clips = self.detector.method, "clip" in self.detector.method.defined
        if scaler is not None and (clips or self.recipe.grad_clip):
            scaler.unscale_(self.optimizer)
        if clips:
            method.clip(self.detector, self.detector.sites, self.detector.method_params)
        if self.recipe.grad_clip:
            nn.utils.clip_grad_norm_([p for p in self.detector.parameters() if p.requires_grad], self.recipe.grad_clip)

    def after_step(self, done: int, losses: dict[str, float]) -> None:
        """done: steps so far. losses: the parts of this step's loss."""
        now, total = time.perf_counter(), sum(losses.values())
        self.trained.step_seconds += now - self._tick
        self.trained.samples += self.recipe.batch_size
        if not math.isfinite(total) or abs(total) > EXPLODED:
            self.end(done, f"the training loss exceeded {EXPLODED:,.0f}" if math.isfinite(total) else "the training loss is not finite")
        for name, value in {"train_loss": total, **{f"train_{name}": value for name, value in losses.items()}}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        last = done == self.total
        if self._count == self.window or last:
            self.trained.log(done, {name: value / self._count for name, value in self._sums.items()})
            self._sums, self._count = {}, 0
        if self.context.progress and now - self._shown > SHOWN:
            self.context.progress(done, self.total, total)
            self._shown = now
        if done in self.eval_steps:
            self.trained.log(done, self.evaluate())
            self.detector.train()
        self.trained.seconds, self.trained.step = time.perf_counter() - self._began, done
        self._checkpoint(done, last)
        self._tick = time.perf_counter()

    def _checkpoint(self, done: int, last: bool) -> None:
        checkpoints = self.context.checkpoints
        if checkpoints and (self._stop.is_set() or (checkpoints.due() and not last)):
            checkpoints.save(
                {
                    "step": done,
                    "model": self.detector.state_dict(),
                    "states": {name: one.state_dict() for name, one in self._states.items()},
                    "curves": self.trained.curves,
                    "sums": self._sums,
                    "count": self._count,
                    "seconds": self.trained.seconds,
                    "step_seconds": self.trained.step_seconds,
                    "samples": self.trained.samples,
                }
            )
        if self._stop.is_set():
            raise Interrupted

    def end(self, done: int, cause: str) -> NoReturn:
        """Note that the training diverged at step `done`, and raise Diverged."""
        self.trained.status, self.trained.cause, self.trained.step = "diverged", cause, done
        self.trained.seconds = time.perf_counter() - self._began
        raise Diverged(cause)
