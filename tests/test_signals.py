"""Signals of an untrained network: what is measured is what slow formulas give, what theory expects, and leaves no trace."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normbench import load_method
from normbench.diagnostics.jacobian import jacobian_norm
from normbench.diagnostics.propagation import measure
from normbench.diagnostics.similarity import mean_abs_correlation, ranks, similarity, unit_rows
from normbench.models import build_model

CHAIN = {"family": "resnet", "blocks": 3, "block": "basic", "width": 6, "stem": "cifar", "version": 2, "init": "fan_in"}
STAGES = {"family": "resnet", "layers": [1, 2], "block": "basic", "width": 4, "stem": "cifar"}
PLAIN = {"family": "plain_cnn", "depth": 3, "width": 5, "uniform": True}
NETS = {"chain": (CHAIN, "batch_norm"), "scaled": (CHAIN, "rescalenet"), "stages": (STAGES, "batch_norm"), "plain": (PLAIN, "layer_norm")}
EPS = np.finfo(np.float32).eps


def net(spec: dict, method: str, pixels: int = 6, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(spec, load_method(method), num_classes=3, in_shape=(3, pixels, pixels))


def batch(samples: int = 7, pixels: int = 6, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, 3, pixels, pixels, generator=generator), torch.randint(3, (samples,), generator=generator)


def made(name: str) -> nn.Module:
    model = net(*NETS[name])
    with torch.no_grad():  # gains, scales and biases that are not 0 or 1
        for i, p in enumerate(p for p in model.parameters() if p.ndim < 2):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
    return model


def by_block(rows: list[dict]) -> dict[int, dict[str, float]]:
    found = {}
    for row in rows:
        found.setdefault(row["k"], {})[row["quantity"]] = row["value"]
    return found


def joins(model: nn.Module) -> list[nn.Module]:
    return [p.module for p in model.sites if p.site.kind == "join"] or [
        p.module for p in model.sites if p.site.kind == "activation" and p.site.role == "plain"
    ]


def seen(model: nn.Module, x, y) -> tuple[nn.Module, list[dict]]:
    """A copy behind its backward pass; of each block what went in and out (float64), and the gradient of its output."""
    model, blocks = copy.deepcopy(model).train(), []
    for module in joins(model):
        module.register_forward_hook(lambda _, ins, out: (out.retain_grad(), blocks.append((ins, out)))[1])
    F.cross_entropy(model(x), y).backward()
    wide = [([i.detach().double().numpy() for i in ins], out.detach().double().numpy(), out.grad.double().numpy()) for ins, out in blocks]
    return model, [dict(zip(("ins", "out", "grad"), block, strict=True)) for block in wide]


def cosine(samples: np.ndarray) -> float:
    n, total = len(samples), 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += samples[i] @ samples[j] / math.sqrt((samples[i] @ samples[i]) * (samples[j] @ samples[j]))
    return total / (n * (n - 1))


def correlation(channels: np.ndarray) -> float:
    table = np.abs(np.corrcoef(channels[channels.std(1) > 0]))
    return float(table[~np.eye(len(table), dtype=bool)].mean())


def slow_ranks(samples: np.ndarray) -> tuple[float, int]:
    units = samples / np.sqrt((samples**2).sum(1, keepdims=True))
    values = np.linalg.svd(units, compute_uv=False)
    return np.trace(units @ units.T) / np.linalg.norm(units @ units.T, 2), int((values > values[0] * max(units.shape) * EPS).sum())


@pytest.mark.parametrize("name", NETS)
def test_what_is_measured_is_what_slow_formulas_give(name):
    model, (x, y) = made(name), batch()
    x[1] = x[0] + 1e-5 * x[2]  # told apart by a bound of so many channels, not by one of so many features
    signal = measure(model, x, y)
    rows, (after, blocks) = by_block(signal.rows), seen(model, x, y)
    assert [*rows] == list(range(1, 4)) and signal.broken is None
    for k, block in enumerate(blocks, 1):
        out, values = block["out"], rows[k]
        stable, numerical = slow_ranks(out.reshape(len(out), -1))
        assert numerical < len(x)
        expected = {
            "variance": ((out - out.sum() / out.size) ** 2).sum() / out.size,
            "mean": out.sum() / out.size,
            "cosine_similarity": cosine(out.reshape(len(out), -1)),
            "mean_abs_correlation": correlation(out.swapaxes(0, 1).reshape(out.shape[1], -1)),
            "stable_rank": stable,
            "numerical_rank": numerical,
            "gradient_norm": math.sqrt((block["grad"] ** 2).sum()),
        }
        if len(block["ins"]) == 2:
            skip, branch = block["ins"]
            expected |= {"variance_skip": skip.var(), "variance_branch": branch.var(), "skip_over_branch": skip.std() / branch.std()}
        else:
            expected |= {"variance_before": block["ins"][0].var()}
        mine = [p.grad for s in after.sites if s.site.k == k and s.module is not None for p in s.module.parameters() if p.grad is not None]
        squares = sum(float((g.double().numpy() ** 2).sum()) for g in mine)
        expected |= {"weight_gradient_norm": math.sqrt(squares), "loss_change": squares}
        assert {key: values[key] for key in expected} == pytest.approx(expected, rel=1e-6), k
        assert set(values) - set(expected) <= {"dead_fraction", "contribution"}


def test_the_metrics_of_a_network_are_those_of_its_ends():
    model, (x, y) = made("stages"), batch()
    signal = measure(model, x, y)
    after, blocks = seen(model, x, y)
    last = F.relu(torch.from_numpy(blocks[-1]["out"])).flatten(1).numpy()  # the activation behind the last sum, all positions
    (rows, stem), (stable, numerical) = (by_block(signal.rows), next(p.module for p in after.sites)), slow_ranks(last)
    assert signal.metrics == pytest.approx(
        {
            "init_loss": float(F.cross_entropy(copy.deepcopy(model).train()(x).detach().double(), y)),
            "penultimate_cosine_similarity": cosine(last),
            "penultimate_stable_rank": stable,
            "penultimate_numerical_rank": numerical,
            "first_layer_gradient_norm": float(stem.weight.grad.double().norm()),
            "gradient_ratio": np.linalg.norm(blocks[0]["grad"]) / np.linalg.norm(blocks[-1]["grad"]),
            "variance_ratio": blocks[-1]["out"].var() / blocks[0]["out"].var(),
            "mean_abs_correlation": sum(r["mean_abs_correlation"] for r in rows.values()) / 3,
            "dead_fraction_init": sum(r["dead_fraction"] for r in rows.values()) / 3,
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("name", NETS)
def test_the_change_of_the_loss_is_that_of_a_small_step_of_the_blocks_own_parameters(name):
    model, (x, y), step = made(name), batch(), 1e-6
    measured = by_block(measure(model, x, y).rows)
    x = x.double()
    for k in measured:
        wide = copy.deepcopy(model).double().train()
        mine = {id(p): p for s in wide.sites if s.site.k == k and s.module is not None for p in s.module.parameters()}.values()
        before = F.cross_entropy(wide(x), y)
        grads = torch.autograd.grad(before, list(mine), allow_unused=True)
        with torch.no_grad():
            for p, g in zip(mine, grads, strict=True):
                p.sub_(step * g if g is not None else 0)
            change = float(before - F.cross_entropy(wide(x), y)) / step
        assert change == pytest.approx(measured[k]["loss_change"], rel=1e-3) and change > 1e-6


def test_a_planted_dead_unit_is_counted_in_its_block_by_the_worst_rectifier():
    model, (x, y) = net(CHAIN, "batch_norm"), batch(32)
    block = dict(model.named_modules())["layer1.1"]
    with torch.no_grad():
        block.before.norm1.bias[2:4] = -1e3
        block.branch.norm2.bias[0] = -1e3
    signal = measure(model, x, y)
    assert [values["dead_fraction"] for values in by_block(signal.rows).values()] == [0, pytest.approx(2 / 6), 0]
    assert signal.metrics["dead_fraction_init"] == pytest.approx(1 / 9)


def test_ranks_and_similarity_of_matrices_that_are_known():
    same, orthogonal = torch.ones(5, 40, dtype=torch.float64), 3 * torch.eye(5, 40, dtype=torch.float64)
    for samples, stable, numerical, cos in ((same, 1, 1, 1), (orthogonal, 5, 5, 0), (-same[:2] * torch.tensor([[1], [-1]]), 1, 1, -1)):
        units = unit_rows(samples)
        assert [float(r) for r in ranks(units @ units.T, 40)] == [pytest.approx(stable), numerical]
        assert similarity(units @ units.T) == pytest.approx(cos, abs=1e-12)
    low = torch.randn(12, 4, dtype=torch.float64) @ torch.randn(4, 40, dtype=torch.float64)
    assert int(ranks(low @ low.T, 40)[1]) == 4
    for smallest, features, rank in ((2.0, 40, 2), (0.5, 40, 1), (2.0, 80, 1), (100.0, [10], 2), (0.5, 1, 2)):  # in 40 x epsilon
        gram = torch.diag(torch.tensor([1.0, (smallest * 40 * EPS) ** 2], dtype=torch.float64))
        assert int(ranks(gram, features)[1]) == rank
    assert [float(r) for r in ranks(torch.zeros(3, 3, dtype=torch.float64), 9)] == [0, 0]


def test_constant_channels_have_no_correlation_and_do_not_count():
    channels = torch.randn(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([channels, torch.full((2, 50), 4.0, dtype=torch.float64)])
    assert mean_abs_correlation(padded) == pytest.approx(correlation(channels.numpy()), rel=1e-12)
    assert mean_abs_correlation(padded[2:]) == 0


def test_independent_samples_are_alike_by_no_more_than_chance():
    generator, features, found = torch.Generator().manual_seed(0), 400, []
    for _ in range(500):
        units = unit_rows(torch.randn(2, features, dtype=torch.float64, generator=generator))
        found.append(similarity(units @ units.T))
    scaled = np.array(found) * math.sqrt(features)  # standard normal up to 1 / features
    assert abs(scaled.mean()) < 4 / math.sqrt(500) and abs((scaled**2).mean() - 1) < 4 * math.sqrt(2 / 500)


@pytest.mark.parametrize("name", ["chain", "scaled", "one_way"])
def test_the_jacobians_norm_is_its_largest_singular_value(name):
    # l1_batch_norm has a backward pass of its own, which cannot be differentiated again
    model, (x, _) = net(CHAIN, "l1_batch_norm") if name == "one_way" else made(name), batch(2, 4)
    x = x[..., :4, :4]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    features = copy.deepcopy(model).train()
    features.fc = nn.Identity()
    full = torch.autograd.functional.jacobian(features.double(), x.double()).reshape(2 * 6, -1)
    assert jacobian_norm(model, x, 300) == pytest.approx(float(torch.linalg.svdvals(full)[0]), rel=1e-6)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("train", [True, False])
def test_measuring_leaves_no_trace(train):
    model, (x, y) = made("chain").train(train), batch()
    model.layer1[0].eval()
    before, modes = copy.deepcopy(model), [m.training for m in model.modules()]
    random = torch.get_rng_state()
    once, again = measure(model, x, y), measure(model, x, y)
    assert once == again and torch.equal(random, torch.get_rng_state()) and modes == [m.training for m in model.modules()]
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), before.state_dict().values(), strict=True))
    assert all(p.grad is None for p in model.parameters()) and not any(m._forward_hooks for m in model.modules())
    assert torch.equal(model(x), before(x))


def assert_alike(a, b):
    for one, other in zip(a.rows, b.rows, strict=True):
        size = 1e-5 * max(abs(one["value"]), 0.1 if one["quantity"] in ("mean", "cosine_similarity") else 0)
        assert one == {**other, "value": pytest.approx(other["value"], abs=size)}
    assert a.metrics == pytest.approx(b.metrics, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_values_depend_neither_on_the_order_of_samples_nor_on_threads(name):
    model, (x, y) = made(name), batch(16)
    one = measure(model, x, y)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(3))
    assert_alike(one, measure(model, x[order], y[order]))
    threads = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            assert_alike(one, measure(model, x, y))
    finally:
        torch.set_num_threads(threads)
    assert measure(model, x, y.roll(1)).metrics["init_loss"] != one.metrics["init_loss"]


@pytest.mark.parametrize("name", NETS)
def test_what_is_cheap_is_the_same_without_the_rest(name):
    model, (x, y) = made(name), batch()
    full, quick = measure(model, x, y), measure(model, x, y, everything=False)
    kept = {"variance", "gradient_norm", "weight_gradient_norm", "loss_change", "dead_fraction"}
    assert quick.rows == [row for row in full.rows if row["quantity"] in kept] and len(quick.rows) == 15
    assert quick.metrics == {key: value for key, value in full.metrics.items() if key != "mean_abs_correlation"}
    ends = measure(model, x, y, ends=True)
    of_weights = {"weight_gradient_norm", "loss_change"}
    assert ends.rows == [row for row in quick.rows if row["k"] in (1, row["depth"]) and row["quantity"] not in of_weights]
    assert {key: value for key, value in quick.metrics.items() if key != "dead_fraction_init"}.items() <= ends.metrics.items()
