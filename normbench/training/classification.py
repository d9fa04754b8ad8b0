"""What image and clip classification share: the loss with mixup and label smoothing, the evaluation, the metrics of a run."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normbench.config.recipe import Recipe
from normbench.training.distributed import summed
from normbench.training.loop import Trained


def mixer(recipe: Recipe, seed: int) -> Callable[[Tensor, Tensor, int], tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """(x, y, step) -> (inputs, criterion of the logits).

    With mixup (Zhang et al., arXiv:1710.09412) one lambda ~ Beta(alpha, alpha) is drawn per batch, as
    RescaleNet's code does; the draw depends on seed and step only, so a resumed run draws the same.
    """

    def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)

    def plain(x: Tensor, y: Tensor, step: int):
        return x, lambda logits: cross_entropy(logits, y)

    def mixed(x: Tensor, y: Tensor, step: int):
        rng = np.random.default_rng((seed, step, 0x317))
        share = float(rng.beta(recipe.mixup, recipe.mixup))
        other = torch.from_numpy(rng.permutation(len(x))).to(x.device)
        return share * x + (1 - share) * x[other], lambda z: share * cross_entropy(z, y) + (1 - share) * cross_entropy(z, y[other])

    return mixed if recipe.mixup else plain


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """test_top1 in percent and test_loss in nats over all batches, in evaluation mode."""
    model.eval()
    right, loss, count = 0.0, 0.0, 0
    for x, y in batches:
        logits = model(x).float()
        right += float((logits.argmax(1) == y).sum())
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
        count += len(y)
    right, loss, count = summed([right, loss, count], x.device)  # each process has seen its own share
    # Logits that are not finite have no most likely class: the accuracy must not look like a number.
    return {"test_top1": 100 * right / count if math.isfinite(loss) else math.nan, "test_loss": loss / count}


def run_metrics(trained: Trained, steps: int) -> dict[str, float]:
    """The metrics of a finished run out of its curves; of a diverged run none, its row says so."""
    if trained.status != "finished":
        return {}
    top1 = [v for _, v in trained.curves["test_top1"]]
    metrics = {
        "test_top1": top1[-1],
        "test_error": 100 - top1[-1],
        "best_test_top1": max(top1),
        "last5_test_top1": float(np.mean(top1[-5:])),
        "test_loss": trained.curves["test_loss"][-1][1],
        "train_loss": _late_mean(trained.curves["train_loss"], steps),
        "train_top1": _late_mean(trained.curves["train_top1"], steps),
        "mean_train_top1": _mean_over_steps(trained.curves["train_top1"]),
    }
    return metrics


def _late_mean(curve: list[tuple[int, float]], steps: int) -> float:
    """Mean of the points in the last tenth of the run."""
    return float(np.mean([v for step, v in curve if step > 0.9 * steps]))


def _mean_over_steps(curve: list[tuple[int, float]]) -> float:
    """Mean over all steps; the last point may stand for fewer steps than the others."""
    ends = np.array([step for step, _ in curve], dtype=float)
    return float(np.average([v for _, v in curve], weights=np.diff(ends, prepend=0.0)))
