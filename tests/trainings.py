"""Small trainings for tests: networks that a method built, random images, and a job for the loop."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.models import plain_cnn, resnet
from normbench.training.checkpoint import Checkpoints
from normbench.training.classification import mixer
from normbench.training.loop import Training
from normbench.training.weight_norms import Norms

CPU = torch.device("cpu")
BATCH = 6
IMAGE = (3, 6, 6)


def recipe(**fields: Any) -> Recipe:
    return Recipe(**{"steps": 8, "batch_size": BATCH, "lr": 0.05, "weight_decay": 1e-3, **fields})


def small_net(method: str = "batch_norm", seed: int = 0, depth: int = 2, params: dict | None = None, **design: Any) -> nn.Module:
    """Convolutions of width 4 without skips, 3 classes."""
    torch.manual_seed(seed)
    method = load_method(method)
    return plain_cnn(depth, method=method, params=method.params(**(params or {})), num_classes=3, width=4, uniform=True, **design)


def small_resnet(method: str, seed: int = 0, **design: Any) -> nn.Module:
    """Two residual blocks of width 4, 3 classes."""
    torch.manual_seed(seed)
    return resnet(layers=(1, 1), block="basic", method=load_method(method), num_classes=3, width=4, stem="cifar", **design)


def batch(step: int) -> tuple[Tensor, Tensor]:
    """(x, y) of a step: the same whoever asks."""
    generator = torch.Generator().manual_seed(1000 + step)
    y = torch.randint(3, (BATCH,), generator=generator)
    return torch.randn((BATCH, *IMAGE), generator=generator) + y.view(-1, 1, 1, 1), y


def batches(start: int):
    step = start
    while True:
        yield batch(step)
        step += 1


def poisoned(step: int, value: float):
    """Batches of which one has an input that no network survives."""

    def source(start):
        for at, (x, y) in enumerate(batches(start), start):
            yield (x * value if at == step else x), y

    return source


@torch.no_grad()
def evaluate(model: nn.Module) -> dict[str, float]:
    model.eval()
    x, y = batch(-1)
    logits = model(x)
    return {"test_loss": float(nn.functional.cross_entropy(logits, y)), "test_top1": 100 * float((logits.argmax(1) == y).float().mean())}


def training(
    model: nn.Module,
    made: Recipe,
    path: Path | None = None,
    every: float = 1e9,
    norms: Norms | None = None,
    identity: str = "this",
    **given: Any,
) -> Training:
    """A job over `batches`. every: seconds between checkpoints."""
    fields = {
        "model": model,
        "recipe": made,
        "device": CPU,
        "total_steps": made.steps,
        "epoch_steps": 3,
        "batches": batches,
        "evaluate": evaluate,
        "mix": mixer(made, seed=0),
        "checkpoints": Checkpoints(path, identity, every) if path else None,
        "norms": norms,
    }
    return Training(**fields | given)
