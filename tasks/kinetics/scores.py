"""Accuracy of clips whose scores are averaged over several views."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from normbench.training.distributed import summed


@torch.no_grad()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """test_top1 and test_top5 in percent and test_loss in nats, in evaluation mode, over the clips of all processes.

    batches: x (B, V, C, T, H, W), y (B,). The probabilities of a clip's views are averaged; its loss is minus the log of that.
    """
    model.eval()
    right, among, loss, count = 0.0, 0.0, 0.0, 0
    for x, y in batches:
        scores = model(x.flatten(0, 1)).float().softmax(1).unflatten(0, x.shape[:2]).mean(1)
        right += float((scores.argmax(1) == y).sum())
        among += float((scores.topk(min(5, scores.shape[1])).indices == y[:, None]).sum())
        loss -= float(scores.gather(1, y[:, None]).clamp_min(torch.finfo(scores.dtype).tiny).log().sum())
        count += len(y)
        if not bool(scores.isfinite().all()):  # what is no number has no largest
            loss = math.nan
    right, among, loss, count = summed([right, among, loss, count], next(model.parameters()).device)
    shares = {"test_top1": 100 * right / count, "test_top5": 100 * among / count}
    return {**(shares if math.isfinite(loss) else dict.fromkeys(shares, math.nan)), "test_loss": loss / count}
