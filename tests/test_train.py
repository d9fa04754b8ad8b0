"""The step loop: the same as a bare loop, curves, divergence with its step and cause, and what a signal does."""

import math
import os
import signal

import pytest
import torch
from torch import nn
from trainings import BATCH, IMAGE, batches, evaluate, poisoned, recipe, small_net, small_resnet, training

from normbench.training.checkpoint import Checkpoints
from normbench.training.loop import EXPLODED, Interrupted, fit


def bare_loop(model, made, steps=8) -> list[float]:
    """What everybody would write: SGD with the rate of the recipe's schedule."""
    optimizer = torch.optim.SGD(model.parameters(), lr=made.lr, momentum=made.momentum, weight_decay=made.weight_decay)
    model.train()
    losses = []
    for step, (x, y) in zip(range(steps), batches(0), strict=False):
        optimizer.param_groups[0]["lr"] = made.lr_at(step, steps)
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_the_loop_is_a_bare_loop_to_the_last_bit():
    made = recipe(schedule="cosine", warmup=0.25)
    ours, bare = small_net(), small_net()
    trained = fit(training(ours, made))
    losses = bare_loop(bare, made)
    assert trained.status == "finished" and trained.step == 8
    assert trained.curves["train_loss"] == [(i + 1, loss) for i, loss in enumerate(losses)]
    assert len(set(losses)) == 8
    for (name, a), b in zip(ours.state_dict().items(), bare.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_every_sample_that_went_through_a_step_is_counted():
    trained = fit(training(small_net(), recipe()))
    assert trained.samples == 8 * BATCH
    assert fit(training(small_net(), recipe(device_batch_size=4))).samples == 8 * BATCH


def test_curves_are_means_over_windows_of_a_fiftieth_of_the_run():
    made = recipe(steps=101)
    trained, model = fit(training(small_net(), made)), small_net()
    losses = bare_loop(model, made, steps=101)
    steps, values = zip(*trained.curves["train_loss"], strict=True)
    assert steps == (*range(3, 100, 3), 101)
    assert values == pytest.approx([sum(losses[max(0, s - 3) if s < 101 else 99 : s]) / (3 if s < 101 else 2) for s in steps], rel=1e-6)
    norm = sum(p.detach().double().square().sum() for p in model.parameters() if p.ndim > 2) ** 0.5
    assert trained.curves["weight_norm"][-1] == (101, pytest.approx(float(norm), rel=1e-6))


def flat_net() -> nn.Module:
    """A linear classifier: no convolution, so none of the kernels whose norms are followed."""
    like = small_net()
    model = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(IMAGE), 3))
    model.sites, model.method, model.method_params = [], like.method, like.method_params
    return model


@pytest.mark.parametrize("control", ["none", "record"])
def test_a_network_without_kernels_has_no_norms_rather_than_zeros(control):
    trained = fit(training(flat_net(), recipe(norm_control=control, norm_every=1)))
    assert trained.status == "finished" and len(trained.curves["train_loss"]) == 8
    assert "weight_norm" not in trained.curves and trained.norms == {}


@pytest.mark.parametrize("evaluations, steps", [(1, [8]), (2, [4, 8]), (3, [3, 5, 8]), (8, list(range(1, 9)))])
def test_the_held_out_set_is_looked_at_as_often_as_the_recipe_says(evaluations, steps):
    model = small_net()
    trained = fit(training(model, recipe(evaluations=evaluations)))
    assert [step for step, _ in trained.curves["test_loss"]] == steps
    assert trained.curves["test_loss"][-1][1] == evaluate(model)["test_loss"]


def test_gradients_are_clipped_to_the_recipes_norm():
    model = small_net()
    start = [p.detach().clone() for p in model.parameters()]
    fit(training(model, recipe(steps=1, lr=1.0, momentum=0.0, weight_decay=0.0, grad_clip=1e-3)))
    step = torch.cat([(p.detach() - s).flatten() for p, s in zip(model.parameters(), start, strict=True)])
    assert float(step.norm()) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("grad_clip", [None, 10.0])
def test_half_precision_takes_the_steps_of_single_precision(grad_clip):
    """The loss is scaled against underflow; the step (and the norm that clipping looks at) is that of the unscaled gradients."""

    def moved(precision: str) -> torch.Tensor:
        model = small_net("layer_norm")
        start = [p.detach().clone() for p in model.parameters()]
        fit(training(model, recipe(steps=1, lr=0.1, momentum=0.0, precision=precision, grad_clip=grad_clip)))
        return torch.cat([(p.detach() - s).flatten() for p, s in zip(model.parameters(), start, strict=True)])

    single, half = moved("float32"), moved("emulated_float16")
    assert 0 < float((half - single).norm()) < 0.01 * float(single.norm())


def test_a_methods_own_clipping_bounds_the_step_that_is_taken():
    """Adaptive clipping: no kernel of an output channel moves by more than a hundredth of its norm, and some by just that."""
    model = small_resnet("nf_resnet", version=2)
    kernels = [p for p in model.parameters() if p.ndim > 2 and p[0].numel() > 1]  # not the gains, which are clipped as a whole
    start = [p.detach().clone() for p in kernels]
    fit(training(model, recipe(steps=1, lr=1.0, momentum=0.0, weight_decay=0.0)))
    shares = torch.cat([(p.detach() - s).flatten(1).norm(dim=1) / s.flatten(1).norm(dim=1) for p, s in zip(kernels, start, strict=True)])
    assert float(shares.max()) == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_no_number_is_a_divergence_with_its_step():
    trained = fit(training(small_net(), recipe(), batches=poisoned(4, float("nan"))))
    assert (trained.status, trained.step, trained.cause) == ("diverged", 5, "the training loss is not finite")
    assert trained.curves["train_loss"][-1][0] == 4
    assert all(value == value for points in trained.curves.values() for _, value in points)


def test_on_a_cpu_a_diverged_run_stops_at_once_and_not_at_the_end_of_its_window():
    drawn = []

    def source(start):
        for found in poisoned(7, float("nan"))(start):
            drawn.append(found)
            yield found

    trained = fit(training(small_net(), recipe(steps=300), batches=source))  # windows of six steps
    assert (trained.status, trained.step, len(drawn)) == ("diverged", 8, 8)


def test_a_loss_that_explodes_is_a_divergence_although_it_is_finite():
    trained = fit(training(small_net("weight_norm"), recipe(), batches=poisoned(2, 1e8)))
    assert (trained.status, trained.step) == ("diverged", 3)
    assert trained.cause == f"the training loss exceeded {EXPLODED:,.0f} nats" == "the training loss exceeded 10,000 nats"


def test_where_the_loss_is_read_seldom_the_step_is_still_the_first_bad_one(monkeypatch):
    from normbench.training import loop

    init = loop._Loop.__init__

    def seldom(self, job):
        init(self, job)
        self.check_every = 20  # as on a GPU

    monkeypatch.setattr(loop._Loop, "__init__", seldom)
    made = recipe(steps=300)  # windows of six steps
    trained = fit(training(small_net(), made, batches=poisoned(7, float("inf"))))
    assert (trained.status, trained.step) == ("diverged", 8)


def test_held_out_outputs_that_are_no_numbers_are_a_divergence():
    trained = fit(training(small_net(), recipe(evaluations=4), evaluate=lambda m: {"test_top1": float("nan"), "test_loss": 1.0}))
    assert (trained.status, trained.step, trained.cause) == ("diverged", 2, "the outputs on held-out data are not finite")


def terminated_at(step: int, number: int):
    """Batches during one of which the process is told to stop."""

    def source(start):
        for at, found in enumerate(batches(start), start):
            if at == step:
                os.kill(os.getpid(), number)
            yield found

    return source


@pytest.mark.parametrize("step, number", [(0, signal.SIGTERM), (3, signal.SIGUSR1), (7, signal.SIGTERM)])
def test_a_schedulers_notice_writes_a_checkpoint_and_says_so(tmp_path, step, number):
    handler = signal.getsignal(number)
    with pytest.raises(Interrupted):
        fit(training(small_net(), recipe(), tmp_path / "run.pt", batches=terminated_at(step, number)))
    assert signal.getsignal(number) is handler
    state = Checkpoints(tmp_path / "run.pt", "this", 1e9).load(torch.device("cpu"))
    assert state["step"] == step + 1
    resumed, whole = small_net(), small_net()
    assert fit(training(resumed, recipe(), tmp_path / "run.pt")).curves == fit(training(whole, recipe())).curves
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_progress_is_told_step_total_and_loss():
    told = []
    fit(training(small_net(), recipe(), progress=lambda *what: told.append(what)))
    step, total, loss = told[0]
    assert (step, total) == (1, 8) and 0 < loss < 10


def test_accuracy_counts_the_unmixed_labels():
    class Oracle(nn.Module):
        """Logits that are the labels, which the batch carries in its first pixel."""

        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return nn.functional.one_hot(x[:, 0, 0, 0].long(), 3).float() + 0 * self.inner(x)

    def labeled(start):
        for x, y in batches(start):
            x[:, 0, 0, 0] = y.float()
            wrong = y.clone()
            wrong[0] = (wrong[0] + 1) % 3
            yield x, wrong

    model = small_net()
    oracle = Oracle(model)
    oracle.sites, oracle.method, oracle.method_params = model.sites, model.method, model.method_params
    trained = fit(training(oracle, recipe(), batches=labeled))
    assert [value for _, value in trained.curves["train_top1"]] == pytest.approx([100 * (BATCH - 1) / BATCH] * 8, rel=1e-6)
