"""What a training shows while it runs: curves, speed, and when it has left the numbers that a training can have."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from normbench.training.window import EXPLODED


class Diverged(Exception):
    """The training ended because of `cause`, at `step`."""

    def __init__(self, step: int, cause: str):
        super().__init__(cause)
        self.step, self.cause = step, cause


@dataclass
class Monitor:
    """Curves of one training, [(step, value)]: train_loss and gradient_norm as means over `window` steps, valid_loss at `evaluated`.

    Losses are nats a target token, train_loss with label smoothing and valid_loss without. after_step(step, loss) is called behind
    every step, after_save(path, step) behind every checkpoint. seconds, tokens, pairs: in training steps so far, target tokens, pairs
    of sentences.
    calibrated: whether the method has seen its first batches.
    """

    window: int = 1
    evaluated: frozenset[int] = frozenset()
    after_step: Callable[[int, float], None] | None = None
    after_save: Callable[[str, int], None] | None = None
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    step: int = 0
    tokens: int = 0
    pairs: int = 0
    seconds: float = 0.0
    calibrated: bool = False
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    began: float = 0.0
    held_out: tuple[float, int] = (0.0, 0)

    def begin(self) -> None:
        """A step begins, unless it goes on with the next part of its batch."""
        self.began = self.began or time.perf_counter()

    def end(self, loss: float, tokens: int, pairs: int, gradient_norm: float) -> None:
        """A step has ended, with its mean loss, its target tokens, its pairs and the norm of its gradient before clipping."""
        self.step += 1
        self.seconds += time.perf_counter() - self.began
        self.tokens, self.pairs, self.began = self.tokens + tokens, self.pairs + pairs, 0.0
        if not -math.inf < loss <= EXPLODED:
            why = f"exceeded {EXPLODED:,.0f} nats" if math.isfinite(loss) else "is not finite"
            raise Diverged(self.step, f"the training loss {why}")
        self.losses.append(loss)
        self.norms.append(gradient_norm)
        if self.step % self.window == 0:
            self.close()
        if self.after_step:
            self.after_step(self.step, loss)

    def close(self) -> None:
        """Put the steps since the last point into the curves."""
        for name, values in (("train_loss", self.losses), ("gradient_norm", self.norms)):
            if values:
                self.curves.setdefault(name, []).append((self.step, sum(values) / len(values)))
                values.clear()

    def hold_out(self, loss: float, tokens: int) -> None:
        """A held-out batch, its summed loss and its tokens."""
        self.held_out = (self.held_out[0] + loss, self.held_out[1] + tokens)

    def end_of_validation(self) -> None:
        (total, tokens), self.held_out = self.held_out, (0.0, 0)
        if not math.isfinite(total):
            raise Diverged(self.step, "the outputs on held-out data are not finite")
        if self.step in self.evaluated and tokens:
            self.curves.setdefault("valid_loss", []).append((self.step, total / tokens))

    def state_dict(self) -> dict[str, Any]:
        kept = ("curves", "step", "tokens", "pairs", "seconds", "calibrated", "losses", "norms")
        return {name: getattr(self, name) for name in kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self.curves = {name: [tuple(point) for point in points] for name, points in self.curves.items()}
