"""What classification tasks share is what its equations say: loss with label smoothing and mixup, the evaluation, a run's metrics."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from trainings import recipe

from normbench.training.classification import evaluate, mixer, run_metrics
from normbench.training.loop import Trained

BATCH, CLASSES = 5, 4


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, y and logits of a batch, in float64."""
    rng = np.random.default_rng(seed)
    x, logits = (torch.from_numpy(rng.normal(size=(BATCH, n))) for n in (3, CLASSES))
    return x, torch.from_numpy(rng.integers(CLASSES, size=BATCH)), logits


def smoothed(logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> float:
    """-sum q log p over the classes, q = smoothing / K and 1 - smoothing more at the label (Szegedy et al. 2016), mean over the batch."""
    z = logits.numpy()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    q = np.full((BATCH, CLASSES), smoothing / CLASSES)
    q[np.arange(BATCH), y.numpy()] += 1 - smoothing
    return float(-(q * log_p).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_mixup_the_loss_is_the_smoothed_cross_entropy_of_the_batch_as_it_is(smoothing):
    x, y, logits = drawn()
    inputs, criterion = mixer(recipe(label_smoothing=smoothing), seed=0)(x, y, 3)
    assert inputs is x
    assert float(criterion(logits)) == pytest.approx(smoothed(logits, y, smoothing), rel=1e-12)


@pytest.mark.parametrize("seed, step", [(0, 0), (3, 7)])
def test_mixup_mixes_inputs_and_losses_by_one_share(seed, step):
    """x' = l x + (1 - l) x[other] and the loss l CE(z, y) + (1 - l) CE(z, y[other]), for the one l and order that fit the inputs."""
    x, y, logits = drawn()
    inputs, criterion = mixer(recipe(mixup=0.7, label_smoothing=0.1), seed)(x, y, step)
    fits = []
    for i in range(BATCH):  # x' - x = (1 - l) (x[j] - x): for which j is it a multiple?
        for j in set(range(BATCH)) - {i}:
            share = (inputs[i] - x[i]) / (x[j] - x[i])
            if share.std() < 1e-9 < abs(share.mean()):
                fits.append((i, j, float(share.mean())))
    other, left = torch.arange(BATCH), fits[0][2]
    for i, j, share in fits:
        other[i] = j
        assert share == pytest.approx(left, rel=1e-9)
    assert sorted(other.tolist()) == list(range(BATCH)) and 0 < left < 1
    torch.testing.assert_close(inputs, (1 - left) * x + left * x[other])
    expected = (1 - left) * smoothed(logits, y, 0.1) + left * smoothed(logits, y[other], 0.1)
    assert float(criterion(logits)) == pytest.approx(expected, rel=1e-9)


def test_mixups_draws_depend_on_seed_and_step_alone_and_have_betas_moments():
    x, y, _ = drawn()
    mix = mixer(recipe(mixup=0.7), seed=1)
    assert torch.equal(mix(x, y, 4)[0], mixer(recipe(mixup=0.7), seed=1)(x, y, 4)[0])
    for seed, step in ((1, 5), (2, 4)):
        assert not torch.equal(mix(x, y, 4)[0], mixer(recipe(mixup=0.7), seed=seed)(x, y, step)[0])
    ones = torch.tensor([[1.0], [0.0]])
    shares = np.array([float(mix(ones, y[:2], step)[0][0]) for step in range(4000)])
    inner = shares[(shares > 0) & (shares < 1)]  # half of the orders of two samples leave them as they are
    assert 0.45 < len(inner) / len(shares) < 0.55
    assert inner.mean() == pytest.approx(0.5, abs=0.03)
    assert inner.var() == pytest.approx(1 / (4 * (2 * 0.7 + 1)), abs=0.01)  # of Beta(a, a)


class Given(nn.Module):
    """Gives back its input, and notes in which mode."""

    def __init__(self):
        super().__init__()
        self.modes = set()

    def forward(self, x):
        self.modes.add(self.training)
        return x


def test_the_evaluation_is_accuracy_in_percent_and_mean_loss_over_samples_in_evaluation_mode():
    """Batches of unequal size: a mean of the batches' means would be another number."""
    _, y, logits = drawn()
    y[:2] = logits[:2].argmax(1)
    y[2:] = logits[2:].argmin(1)
    model = Given().train()
    found = evaluate(model, [(logits[:4], y[:4]), (logits[4:], y[4:])])
    assert found["test_top1"] == 40.0
    assert found["test_loss"] == pytest.approx(smoothed(logits, y, 0.0), rel=1e-6)
    assert model.modes == {False}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_outputs_that_are_no_numbers_have_no_accuracy(value):
    _, y, logits = drawn()
    logits[1, 2] = value
    found = evaluate(Given(), [(logits, y)])
    assert math.isnan(found["test_top1"]) and not math.isfinite(found["test_loss"])


def test_the_metrics_of_a_run_are_those_of_its_curves():
    """200 steps, of which the last twenty are late; a training curve's points stand for 30 steps each, the last two for 5 and 15."""
    ends = [30, 60, 90, 120, 150, 180, 185, 200]
    curves = {
        "test_top1": list(zip(range(25, 201, 25), [10.0, 90.0, 50.0, 60.0, 70.0, 80.0, 85.0, 75.0], strict=True)),
        "test_loss": [(50, 4.0), (100, 3.0), (200, 1.5)],
        "train_loss": list(zip(ends, [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], strict=True)),
        "train_top1": list(zip(ends, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 90.0], strict=True)),
    }
    found = run_metrics(Trained(curves=curves), 200)
    assert found == pytest.approx(
        {
            "test_top1": 75.0,
            "test_error": 25.0,
            "best_test_top1": 90.0,
            "last5_test_top1": (60 + 70 + 80 + 85 + 75) / 5,
            "test_loss": 1.5,
            "train_loss": 1.5,  # of the points after step 180
            "train_top1": 80.0,
            "mean_train_top1": (30 * (10 + 20 + 30 + 40 + 50 + 60) + 5 * 70 + 15 * 90) / 200,
        }
    )


def test_a_diverged_run_has_no_metrics():
    assert run_metrics(Trained(status="diverged", curves={"test_top1": [(1, 50.0)]}), 2) == {}
