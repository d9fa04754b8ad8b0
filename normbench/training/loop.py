"""The step loop, once for all tasks: schedule, precision, clipping, divergence, curves, checkpoints, resume, on one device or several.

The task brings the model, the batches and the evaluation; the loop knows no dataset and no method.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from normbench.config.recipe import Recipe
from normbench.core.errors import InputError
from normbench.training.checkpoint import Checkpoints, set_rng_state
from normbench.training.distributed import any_of, as_the_first, mean, summed
from normbench.training.optimizer import make_optimizer, set_lr
from normbench.training.precision import Precision
from normbench.training.weight_norms import NormControl, Norms
from normbench.training.window import CURVE_POINTS, EXPLODED, Window

SEEDS_APART = 1_000_003  # of two processes that train together; more than anyone has seeds


class Interrupted(Exception):
    """The process was told to stop; the checkpoint is written."""


@dataclass
class Training:
    """What the task hands to the loop.

    batches(start): an endless iterator of (x, y) from step `start` on, the same whatever came before.
    evaluate(model): metrics on held-out data. mix(x, y, step): inputs and a loss function of the logits
    (mixup and label smoothing live there). progress(step, total, loss): called a few times a second.
    epoch_steps: steps of an epoch. norms: recorded by another run, for norm control.
    rank, world_size: this process among those that train the same model, each on the batches that its own `batches` yields.
    """

    model: nn.Module
    recipe: Recipe
    device: torch.device
    total_steps: int
    epoch_steps: int
    batches: Callable[[int], Iterator[tuple[Tensor, Tensor]]]
    evaluate: Callable[[nn.Module], dict[str, float]]
    mix: Callable[[Tensor, Tensor, int], tuple[Tensor, Callable[[Tensor], Tensor]]]
    checkpoints: Checkpoints | None = None
    progress: Callable[[int, int, float], None] | None = None
    norms: Norms | None = None
    rank: int = 0
    world_size: int = 1


@dataclass
class Trained:
    """What came of it. status: finished or diverged, then with step and cause. curves: metric -> [(step, value)].

    step_seconds, samples: inside training steps, and how many samples all processes took through them.
    """

    status: str = "finished"
    step: int = 0
    cause: str = ""
    seconds: float = 0.0
    step_seconds: float = 0.0
    samples: int = 0
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    norms: Norms = field(default_factory=dict)

    def log(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            if math.isfinite(value):
                self.curves.setdefault(name, []).append((step, value))


def fit(job: Training) -> Trained:
    """Train `job.model` in place. Raises Interrupted after SIGTERM or SIGUSR1, with the checkpoint written."""
    return _Loop(job).run()


class _Loop:
    def __init__(self, job: Training):
        self.job, self.recipe, self.total = job, job.recipe, job.total_steps
        every = job.recipe.norm_every or job.epoch_steps
        self.control = NormControl(job.model, job.recipe, every, self.total, job.norms)
        self.optimizer = make_optimizer(job.model, job.recipe, self.control.scheduled_ids())
        self.precision = Precision(job.recipe.precision, job.device)
        self.window = Window(math.ceil(self.total / CURVE_POINTS))
        # A loss read every step would make a GPU wait; on a CPU it costs nothing and stops a diverged run at once.
        self.check_every = 1 if job.device.type == "cpu" else min(20, self.window.size)
        self.eval_steps = {max(1, round(self.total * (i + 1) / job.recipe.evaluations)) for i in range(job.recipe.evaluations)}
        self.network = self.evaluated = torch.compile(job.model) if job.recipe.compile else job.model
        self.parameters = [p for p in job.model.parameters() if p.requires_grad]
        self.kernels = [p.detach() for p in self.parameters if p.ndim > 2]  # the same memory, read where no gradient is wanted
        self.trained = Trained()
        if job.world_size > 1:
            torch.manual_seed(torch.initial_seed() + SEEDS_APART * job.rank)  # no two drop the same units of their samples
        self.start = self._resume()
        if job.world_size > 1:
            self.network = DistributedDataParallel(self.network)

    def run(self) -> Trained:
        trained, job, window = self.trained, self.job, self.window
        began, shown = time.perf_counter() - trained.seconds, 0.0
        batches = job.batches(self.start)
        self.network.train()
        with _stop_signal() as stop:
            for step in range(self.start, self.total):
                tick, done = time.perf_counter(), step + 1
                x, y = next(batches)
                window.add(*self._step(step, x, y))
                last = done == self.total
                if (done % self.check_every == 0 or window.is_full() or last) and (bad := window.first_bad()):
                    return self._diverged(done - bad[0], bad[1], began)
                now = time.perf_counter()
                trained.step_seconds += now - tick
                trained.samples += len(y) * job.world_size
                if job.progress and now - shown > 0.5:
                    job.progress(done, self.total, float(window.loss[-1]))
                    shown = now
                if window.is_full() or last:
                    self._log(done)
                trained.seconds = now - began
                if done in self.eval_steps and not self._evaluate(done):
                    return trained
                # Told to stop in the last step, the job stops all the same: going on from here is then only to write the record.
                if job.checkpoints and (job.world_size == 1 or done % self.check_every == 0 or last):
                    stopped, due = any_of([stop.is_set(), job.checkpoints.due() and not last], job.device)
                    if stopped or due:
                        self._save(done)
                    if stopped:
                        raise Interrupted
        trained.seconds, trained.step = time.perf_counter() - began, self.total
        trained.norms = self.control.arrays()
        return trained

    def _step(self, step: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        set_lr(self.optimizer, self.recipe.lr_at(step, self.total), self.recipe.lr)
        scaler = self.precision.scaler
        size = self.recipe.device_batch_size or len(x)
        loss, right = self._backward(step, x, y) if len(x) <= size else self._accumulate(step, x.split(size), y.split(size))
        if self.job.world_size > 1:
            loss, right = mean(torch.stack([loss, right]))
        self._gradients()
        self.control.before_step()
        scaler.step(self.optimizer)
        scaler.update()
        self.control.after_step(step)
        self.optimizer.zero_grad(set_to_none=True)
        return loss, right

    def _backward(self, step: int, x: Tensor, y: Tensor, share: float = 1) -> tuple[Tensor, Tensor]:
        """The gradients of `share` of the batch are added; returns loss and accuracy of (x, y)."""
        precision = self.precision
        mixed, criterion = self.job.mix(x, y, step)
        with precision.forward():
            logits = self.network(mixed)
            loss = criterion(logits)
        scale = precision.loss_scale * share
        with precision.backward():
            precision.scaler.scale(loss * scale if scale != 1 else loss).backward()
        with torch.no_grad():
            return loss.detach(), (logits.argmax(1) == y).float().mean()

    def _accumulate(self, step: int, xs: tuple[Tensor, ...], ys: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The batch in parts, one after another; processes exchange gradients with the last."""
        total = sum(len(y) for y in ys)
        loss = right = 0.0
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            share, last = len(y) / total, i + 1 == len(ys)
            with nullcontext() if last or self.job.world_size == 1 else self.network.no_sync():
                part_loss, part_right = self._backward(step, x, y, share)
            loss, right = loss + share * part_loss, right + share * part_right
        return loss, right

    def _gradients(self) -> None:
        model, scale = self.job.model, self.precision.loss_scale
        clips = "clip" in model.method.defined
        if clips or self.recipe.grad_clip:
            self.precision.scaler.unscale_(self.optimizer)  # does nothing where nothing is scaled
        if scale != 1:
            torch._foreach_mul_([p.grad for p in self.parameters if p.grad is not None], 1 / scale)
        if clips:
            model.method.clip(model, model.sites, model.method_params)
        if self.recipe.grad_clip:
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.grad_clip)

    def _log(self, step: int) -> None:
        loss, right = self.window.take()
        values = {"train_loss": loss, "train_top1": 100 * right}
        if self.kernels:
            values["weight_norm"] = float(nn.utils.get_total_norm(self.kernels))
        self.trained.log(step, values)

    def _evaluate(self, step: int) -> bool:
        """False where the network's outputs are no numbers any more: that is a divergence too."""
        as_the_first(self.job.model)
        values = self.job.evaluate(self.evaluated)
        self.network.train()
        self.trained.log(step, values)
        if all(math.isfinite(v) for v in values.values()):
            return True
        self._mark("the outputs on held-out data are not finite", step)
        return False

    def _diverged(self, step: int, loss: float, began: float) -> Trained:
        finite = math.isfinite(loss)
        self._mark(f"the training loss exceeded {EXPLODED:,.0f} nats" if finite else "the training loss is not finite", step)
        self.trained.seconds = time.perf_counter() - began
        return self.trained

    def _mark(self, cause: str, step: int) -> None:
        self.trained.status, self.trained.cause, self.trained.step = "diverged", cause, step

    def _save(self, step: int) -> None:
        trained = self.trained
        self.job.checkpoints.save(
            {
                "step": step,
                "model": self.job.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.precision.scaler.state_dict(),
                "norms": self.control.state_dict(),
                "window": self.window.state_dict(),
                "curves": trained.curves,
                "seconds": trained.seconds,
                "step_seconds": trained.step_seconds,
                "samples": trained.samples,
            }
        )

    def _resume(self) -> int:
        state = self.job.checkpoints.load(self.job.device) if self.job.checkpoints else None
        step = float(state["step"] if state else 0)
        if summed([step], self.job.device)[0] != step * self.job.world_size:
            raise InputError(f"{self.job.checkpoints.path}: processes read different checkpoints; they need one shared folder")
        if state is None:
            return 0
        self.job.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.scaler.load_state_dict(state["scaler"])
        self.control.load_state_dict(state["norms"])
        self.window.load_state_dict(state["window"])
        self.trained.curves = {name: [tuple(p) for p in points] for name, points in state["curves"].items()}
        for name in ("seconds", "step_seconds", "samples"):
            setattr(self.trained, name, state[name])
        set_rng_state(state["rng"])
        return state["step"]


class _stop_signal:
    """A scheduler's notice (SIGTERM, SIGUSR1) becomes an event that the loop looks at; only the main thread may do so."""

    def __enter__(self) -> threading.Event:
        event = threading.Event()
        self._old: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._old = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGTERM, signal.SIGUSR1)}
        return event

    def __exit__(self, *_) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
