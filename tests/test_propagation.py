"""The propagation task: theory's variances and contributions, exact identities and planted breaks, overflow as a result, mistakes."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from facts import mistake
from pydantic import ValidationError
from torch.nn import functional as F

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.config.tasks import load_preparer, owner_of
from normbench.diagnostics.propagation import measure
from normbench.execution.task_api import Context
from normbench.models import build_model
from tasks.propagation import adapter, data, exact
from tasks.propagation.recipe import Recipe

CPU = torch.device("cpu")
CHAIN = {"family": "resnet", "blocks": 4, "block": "basic", "width": 8, "stem": "cifar", "version": 2, "init": "fan_in"}
BLOCKS, SIDE, SEEDS = 6, 32, 12


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for dataset in ("gaussian", "digits"):
        load_preparer(owner_of(dataset))(dataset, root)
    return Context(CPU, root)


def arm(method: str, recipe: dict, **model) -> ArmSpec:
    return ArmSpec("propagation", "gaussian", {**CHAIN, **model}, method, {}, {"batch_size": 8, **recipe})


def build(method: str, params: dict | None = None, pixels: int = 8, **model):
    made = load_method(method)
    return build_model({**CHAIN, **model}, made, made.params(**(params or {})), num_classes=10, in_shape=(3, pixels, pixels))


def by_block(rows: list[dict], quantity: str) -> list[float]:
    return [row["value"] for row in rows if row["quantity"] == quantity]


def at_joins(model, x, read) -> list:
    """What `read` makes of (skip, branch) and output of each join, by a forward pass of a copy."""
    model, found = copy.deepcopy(model).train(), []
    for placed in model.sites:
        if placed.site.kind == "join":
            placed.module.register_forward_hook(lambda _, ins, out: found.append(read(ins, out)))
    model(x)
    return found


def branch_sizes(model, x) -> list[float]:
    return at_joins(model, x, lambda ins, _: float(ins[1].detach().double().pow(2).mean().sqrt()))


def box(field: torch.Tensor) -> torch.Tensor:
    """What a 3x3 convolution of weights N(0, 2 / fan_in) behind a rectifier makes of second moments: their mean over the window.

    A rectifier halves a second moment, the 2 doubles it, and the zeros of the padding count as 0: some percent at the borders.
    """
    return F.avg_pool2d(field[None, None], 3, stride=1, padding=1)[0, 0]


def expected(method: str) -> tuple[np.ndarray, np.ndarray]:
    """Second moment of each block's output, the stem's first, and of each branch as the block multiplies it: expectations over weights."""
    field = 2 * box(torch.ones(SIDE, SIDE, dtype=torch.float64))  # a stem that no rectifier precedes doubles the noise's 1
    outputs, branches = [field.mean()], []
    for k in range(1, BLOCKS + 1):
        unit = (lambda f: f / f.mean()) if method == "batch_norm" else (lambda f: f)
        branch = box(unit(box(unit(field))))
        share = 1 / (k + BLOCKS)  # c = L, so that the coefficients' squares sum to one
        field = (1 - share) * field + share * branch if method == "rescalenet" else field + branch
        outputs.append(field.mean())
        branches.append(branch.mean())
    return np.array(outputs), np.array(branches)


def within_error(found: np.ndarray, most: float) -> None:
    """Over seeds, the mean of measured / expected is 1 within four standard errors, which themselves are small enough to tell."""
    error = found.std(0, ddof=1) / math.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - 1) < 4 * error) and np.all(error < most), (found.mean(0), error)


@pytest.fixture(scope="module", params=["none", "batch_norm", "rescalenet"])
def chains(request):
    rows = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model = build(request.param, pixels=SIDE, blocks=BLOCKS, width=64)
        rows.append(measure(model, torch.randn(4, 3, SIDE, SIDE), torch.randint(10, (4,))).rows)
    moments = np.array([np.add(by_block(r, "variance"), np.square(by_block(r, "mean"))) for r in rows])
    return request.param, moments, np.array([by_block(r, "skip_over_branch") for r in rows])


@pytest.mark.slow
def test_variance_grows_over_the_blocks_as_theory_says(chains):
    method, moments, _ = chains
    outputs = expected(method)[0]
    factors, steps = outputs[2:] / outputs[1:-1], np.diff(outputs)
    if method == "none":  # doubles in each block, but for the borders
        assert np.all((factors > 1.94) & (factors < 1.97))
        within_error((moments[:, 1:] / moments[:, :-1] / factors).mean(1, keepdims=True), 0.025)
    elif method == "batch_norm":  # one more in each block: the stem's two, and k
        assert np.all((steps > 0.95) & (steps < 1)) and outputs[0] == pytest.approx(2 * (94 / 96) ** 2)
        within_error(moments / outputs[1:], 0.03)
        within_error(np.diff(moments, axis=1).mean(1, keepdims=True) / steps[1:].mean(), 0.03)
    else:  # constant, but for the borders
        assert 0.96 < outputs[-1] / outputs[1] < 1
        within_error(moments[:, -1:] / moments[:, :1] / (outputs[-1] / outputs[1]), 0.04)
        assert np.abs(moments.mean(0) / moments.mean() - 1).max() < 0.05


def test_a_skip_is_as_large_as_the_sum_of_the_branches_before_it(chains):
    method, _, ratios = chains
    outputs, branches = expected(method)
    if method == "rescalenet":  # part of its coefficients stands in the first weights: the branch is that much smaller
        branches = branches * BLOCKS / (np.arange(1, BLOCKS + 1) + BLOCKS)
    within_error((ratios / np.sqrt(outputs[:-1] / branches)).mean(1, keepdims=True), 0.05)
    if method == "batch_norm":  # the square root of k, and of the stem's two
        law = np.sqrt(np.arange(BLOCKS) + 2)
        assert np.abs(ratios.mean(0) / law - 1).max() < 0.05 and np.abs(np.sqrt(outputs[:-1] / branches) / law - 1).max() < 0.02


def test_identity_joins_leave_each_branch_as_it_is():
    torch.manual_seed(0)
    model, x = build("none"), torch.randn(8, 3, 8, 8)
    rows = measure(model, x, torch.arange(8)).rows
    assert by_block(rows, "contribution") == pytest.approx(branch_sizes(model, x), rel=1e-5)


@pytest.mark.parametrize("constant", [0.5**0.5, 0.8])
def test_scaled_sums_shrink_each_branch_in_every_later_join(constant):
    torch.manual_seed(0)
    model, x = build("divide_sqrt2", {"constant": constant}), torch.randn(8, 3, 8, 8)
    branches = branch_sizes(model, x)
    shrunk = [size * constant ** (len(branches) - k) for k, size in enumerate(branches)]
    assert by_block(measure(model, x, torch.arange(8)).rows, "contribution") == pytest.approx(shrunk, rel=1e-5)


@pytest.mark.slow
def test_a_network_that_overflows_is_a_result_with_its_block(context):
    result = adapter.run(arm("none", {"batch_size": 4}, blocks=400, width=16), 0, context)
    torch.manual_seed(0)
    x, _ = data.batch("gaussian", None, 4, adapter.measured(4), 0, CPU)
    block = at_joins(build("none", blocks=400, width=16), x, lambda _, out: bool(out.isfinite().all())).index(False) + 1
    assert 200 < block < 400  # 3.4e38 is 2 to the 128th, and a block multiplies by less than the square root of two
    assert (result.trained.status, result.trained.step) == ("diverged", block)
    assert result.trained.cause == f"the signal explodes at block {block} of 400" and result.metrics == {}
    assert len(by_block(result.probes, "variance")) == block - 1 and all(math.isfinite(row["value"]) for row in result.probes)


def test_a_gradient_that_overflows_is_told_from_a_signal_that_does():
    torch.manual_seed(0)
    model, x = build("none"), torch.randn(8, 3, 8, 8)
    with torch.no_grad():
        model.layer1[1].branch.conv1.weight *= 1e30  # the branch is what it was; its second layer's gradient is not
        model.layer1[1].branch.conv2.weight *= 1e-30
        model.fc.weight *= 1e12
    signal = measure(model, x, torch.arange(8))
    assert signal.broken == (2, "the gradient explodes at block 2 of 4") and signal.metrics == {}
    assert all(math.isfinite(row["value"]) for row in signal.rows) and len(by_block(signal.rows, "loss_change")) == 3


def test_calibration_on_more_samples_is_closer_to_that_on_all(context):
    def error(samples: int, seed: int) -> float:
        recipe = {"calibration_samples": samples, "compare_calibration": True}
        return adapter.run(arm("rescalenet", recipe), seed, context).metrics["calibration_error"]

    errors = [[error(samples, seed) for seed in range(4)] for samples in (8, 32, 128, 512, 1024)]
    means = [sum(e) / 4 for e in errors]
    assert means[0] < 1 and all(a > 1.3 * b for a, b in itertools.pairwise(means[:-1])) and errors[-1] == [0.0] * 4
    assert "calibration_error" not in adapter.run(arm("batch_norm", {"compare_calibration": True}), 0, context).metrics


def identities(method: str, params: dict, scale: float) -> dict[str, list[float]]:
    torch.manual_seed(0)
    model = build(method, params).double()
    rows = exact.invariance(model, torch.randn(8, 3, 8, 8, dtype=torch.float64), scale)
    return {row["quantity"]: by_block(rows, row["quantity"]) for row in rows}


def test_a_norm_ignores_its_weights_scale():
    one, small, large = (identities("batch_norm", {"eps": 1e-30}, scale) for scale in (1.0, 0.01, 1000.0))
    assert len(one["output"]) == 5 and len(one) == 4  # behind the stem and the first convolution of each block stands a norm
    for quantity, values in one.items():
        assert small[quantity] == pytest.approx(values, rel=1e-9) and large[quantity] == pytest.approx(values, rel=1e-9)
        assert min(map(abs, values)) > 1e-3 and (quantity == "output_behind_relu" or values != one["output_behind_relu"])
    assert small["weight_gradient_orthogonality"] == pytest.approx([1.0] * 5, rel=1e-9)


@pytest.mark.parametrize("method, params", [("batch_norm", {"eps": 1.0}), ("none", {})], ids=["large eps", "no norm"])
def test_identities_break_where_the_scale_matters(method, params):
    one, small = (identities(method, params, scale) for scale in (1.0, 0.01))
    for quantity in ("output", "output_behind_relu", "gradient_times_scale"):
        assert all(abs(b) < 0.1 * abs(a) for a, b in zip(one[quantity], small[quantity], strict=True)), quantity
    assert max(small["weight_gradient_orthogonality"]) < 1 - 1e-3


def test_a_model_without_norms_has_no_scale_to_ignore():
    with mistake("methods/rescalenet.py", "norm", "convolution", "scale"):
        identities("rescalenet", {}, 1.0)


def losses(model, scale: float, lr: float) -> list[float]:
    batches = (data.batch("gaussian", None, 8, i, 0, CPU) for i in itertools.count())
    return [v for _, v in exact.trajectory(copy.deepcopy(model).double(), ((x.double(), y) for x, y in batches), scale, lr, 6)]


def test_training_at_a_scale_is_training_at_the_squared_rate():
    torch.manual_seed(0)
    model, bare = build("skipinit"), []
    wide = copy.deepcopy(model).double().train()
    optimizer = torch.optim.SGD(wide.parameters(), lr=0.1, momentum=0.9)
    for step in range(6):
        x, y = data.batch("gaussian", None, 8, step, 0, CPU)
        optimizer.zero_grad()
        loss = F.cross_entropy(wide(x.double()), y)
        loss.backward()
        optimizer.step()
        bare.append(loss.item())
    for scale in (1.0, 10.0, 0.1):
        assert losses(model, scale, 0.1) == pytest.approx(bare, rel=1e-9)
    assert losses(model, 10.0, 0.1 / 10) != pytest.approx(bare, rel=1e-3)  # the rate times c and not c squared


BOTH = "steps and lr go with measure: trajectory, which needs both"
MISTAKES = [
    ({"batch_size": 1}, "samples can only be compared where there are at least two, got 1"),
    ({"steps": 3}, BOTH),
    ({"steps": 3, "lr": 0.1}, BOTH),
    ({"measure": "trajectory", "steps": 3}, BOTH),
    ({"measure": "trajectory", "lr": 0.1}, BOTH),
]


@pytest.mark.parametrize("fields, says", MISTAKES)
def test_a_recipe_that_cannot_be_says_why(fields, says):
    with pytest.raises(ValidationError) as error:
        Recipe(**{"batch_size": 4, **fields})
    assert error.value.error_count() == 1 and error.value.errors()[0]["msg"] == f"Value error, {says}"


def test_a_batch_larger_than_the_training_set_is_one_sentence(context):
    folder = context.data / "digits"
    assert len(data.batch("digits", folder, 1197, 0, 0, CPU)[0]) == 1197
    with mistake("digits", "batch", "1198", "1197"):
        data.batch("digits", folder, 1198, 0, 0, CPU)
