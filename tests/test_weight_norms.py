"""Weight norms recorded, corrected for and scheduled, against the formulas written out; arXiv:1803.01814."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trainings import batch, recipe, small_net, training

from normbench.training.loop import fit
from normbench.training.optimizer import make_optimizer
from normbench.training.weight_norms import NormControl, channel_norms, controlled_weights


def control(model, total=12, every=3, recorded=None, **fields) -> NormControl:
    return NormControl(model, recipe(steps=total, **fields), every, total, recorded)


def norms_of(model) -> dict[str, np.ndarray]:
    """||w_i|| by hand: the root of the sum of squares over all but the output channels."""
    weights = {name: p.detach().double().numpy() for name, p in model.named_parameters() if p.ndim > 2}
    return {name: np.sqrt((w**2).sum(axis=tuple(range(1, w.ndim)))) for name, w in weights.items()}


def moved(model, seed: int, size: float = 0.01) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(size * torch.randn(p.shape, generator=generator, dtype=p.dtype))


def test_only_convolutions_are_controlled():
    assert set(controlled_weights(small_net())) == {"body.conv1.weight", "body.conv2.weight"}


def test_channel_norms_are_those_of_each_output_channel():
    w = torch.tensor([[[3.0]], [[0.0]]]).repeat(1, 2, 1)  # two output channels, each of two inputs
    torch.testing.assert_close(channel_norms(w), torch.tensor([18.0**0.5, 0.0]))


def test_norms_are_recorded_at_the_end_of_every_period():
    model = small_net().double()
    controls, expected = control(model, norm_control="record"), []
    for step in range(8):
        controls.before_step()
        moved(model, step)
        controls.after_step(step)
        if step in (2, 5):
            expected.append(norms_of(model))
    found = controls.arrays()
    assert set(found) == set(norms_of(model))
    for name, rows in found.items():
        np.testing.assert_allclose(rows, np.stack([e[name] for e in expected]), rtol=1e-12)


@given(step=st.integers(0, 20), size=st.floats(1e-3, 1.0), given_=st.floats(0.1, 10))
@settings(max_examples=15, deadline=None)
def test_a_corrected_step_is_the_step_times_the_square_of_own_over_recorded_norm(step, size, given_):
    model = small_net().double()
    rows = {name: given_ * np.stack([n + i for i in range(4)]) for name, n in norms_of(model).items()}
    controls = control(model, recorded=rows, norm_control="correct_lr")
    before, own = {n: p.detach().clone() for n, p in model.named_parameters()}, norms_of(model)
    controls.before_step()
    moved(model, step, size)
    after = {n: p.detach().clone() for n, p in model.named_parameters()}
    controls.after_step(step)
    for name, p in model.named_parameters():
        if p.ndim > 2:
            ratio = torch.from_numpy((own[name] / rows[name][min(step // 3, 3)]) ** 2).view(-1, 1, 1, 1)
            torch.testing.assert_close(p.detach(), before[name] + ratio * (after[name] - before[name]), rtol=1e-12, atol=1e-14)
        else:
            assert torch.equal(p.detach(), after[name])


def test_correcting_with_the_runs_own_norms_changes_nothing():
    plain, corrected = small_net(seed=3).double(), small_net(seed=3).double()
    for step in range(6):
        controls = control(corrected, recorded={n: v[None] for n, v in norms_of(corrected).items()}, norm_control="correct_lr")
        controls.before_step()
        moved(plain, step)
        moved(corrected, step)
        controls.after_step(step)
    for a, b in zip(plain.parameters(), corrected.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-15)


def test_under_batch_norm_a_corrected_step_turns_the_weights_as_the_recorded_run_did():
    """Eq. 4: with lr ||w||^2 / ||w_on||^2 a run whose weights have other norms, and the same directions, makes the same turn."""
    on, off = (small_net(seed=5, params={"eps": 1e-12, "fused": False}).double() for _ in range(2))
    scale = {name: torch.linspace(0.3, 4, len(p), dtype=p.dtype).view(-1, 1, 1, 1) for name, p in controlled_weights(off).items()}
    with torch.no_grad():
        for name, p in controlled_weights(off).items():
            p.mul_(scale[name])
    turns = []
    recorded = {name: norms[None] for name, norms in norms_of(on).items()}
    for model, controls in ((on, control(on)), (off, control(off, recorded=recorded, norm_control="correct_lr"))):
        optimizer = make_optimizer(model, recipe(lr=0.5, momentum=0.0, weight_decay=0.0))
        x, y = batch(0)
        nn.functional.cross_entropy(model(x.double()), y).backward()
        before = {name: p.detach().clone() for name, p in controlled_weights(model).items()}
        controls.before_step()
        optimizer.step()
        controls.after_step(0)
        turns.append(
            {n: (p.detach() - before[n]) / channel_norms(before[n]).view(-1, 1, 1, 1) for n, p in controlled_weights(model).items()}
        )
    for name in turns[0]:
        assert turns[0][name].abs().max() > 1e-3
        torch.testing.assert_close(turns[0][name], turns[1][name], rtol=1e-7, atol=1e-10)


def test_without_correction_the_turn_is_another():
    """The control of the test above: weights three times as long turn nine times less."""
    turns = []
    for scale in (1.0, 3.0):
        model = small_net(seed=5, params={"eps": 1e-12, "fused": False}).double()
        w = controlled_weights(model)["body.conv2.weight"]
        with torch.no_grad():
            w.mul_(scale)
        x, y = batch(0)
        nn.functional.cross_entropy(model(x.double()), y).backward()
        turns.append(w.grad / w.detach().flatten(1).norm(dim=1).view(-1, 1, 1, 1))
    torch.testing.assert_close(turns[0], 9 * turns[1], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("step, passed", [(0, 0), (4, 0), (5, 1), (8, 1), (9, 2), (11, 2)])
def test_scheduled_norms_are_the_recorded_ones_times_root_one_over_gamma_per_milestone(step, passed):
    model = small_net().double()
    rows = {name: np.stack([n + i for i in range(2)]) for name, n in norms_of(model).items()}
    fields = {"norm_control": "schedule", "schedule": "step", "milestones": (0.5, 0.8), "gamma": 0.1}
    controls = control(model, recorded=rows, **fields)
    directions = {n: p.detach() / channel_norms(p).view(-1, 1, 1, 1) for n, p in controlled_weights(model).items()}
    controls.after_step(step)
    for name, p in controlled_weights(model).items():
        np.testing.assert_allclose(norms_of(model)[name], rows[name][min(step // 3, 1)] * 10 ** (passed / 2), rtol=1e-12)
        torch.testing.assert_close(p.detach() / channel_norms(p).view(-1, 1, 1, 1), directions[name], rtol=1e-12, atol=1e-14)
    assert controls.scheduled_ids() == {id(p) for p in controlled_weights(model).values()}


def test_a_whole_run_takes_corrected_steps():
    """w - lr (n_own / n_recorded)^2 g for each channel of each convolution, the recorded norms those of the step's period."""
    made = recipe(momentum=0.0, weight_decay=0.0, norm_control="correct_lr", norm_every=3)
    model, bare = small_net(seed=1), small_net(seed=1)
    recorded = {name: np.stack([n * factor for factor in (0.5, 2.0)]) for name, n in norms_of(model).items()}
    fit(training(model, made, norms=recorded))
    for step in range(8):
        x, y = batch(step)
        nn.functional.cross_entropy(bare.train()(x), y).backward()
        own = norms_of(bare)
        with torch.no_grad():
            for name, p in bare.named_parameters():
                ratio = torch.from_numpy(own[name] / recorded[name][min(step // 3, 1)]).view(-1, 1, 1, 1) if p.ndim > 2 else 1.0
                p -= made.lr * ratio**2 * p.grad
        bare.zero_grad()
    for (name, a), b in zip(model.named_parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_a_whole_run_ends_with_the_scheduled_norms_and_records_what_it_should():
    fields = {"schedule": "step", "milestones": (0.5,), "norm_every": 2}
    recorded = fit(training(small_net(), recipe(norm_control="record", **fields))).norms
    assert {rows.shape for rows in recorded.values()} == {(4, 4)}  # 8 steps, every 2nd; 4 channels
    model = small_net(seed=1)
    fit(training(model, recipe(norm_control="schedule", **fields), norms=recorded))
    for name, norms in norms_of(model).items():
        np.testing.assert_allclose(norms, recorded[name][3] * 10**0.5, rtol=1e-5)
