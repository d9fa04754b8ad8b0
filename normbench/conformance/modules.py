"""Checks of the single modules that a method puts at its sites: the larger part of the conformance kit.

A module is taken to use batch statistics when it has buffers named `running_*`: then evaluation has to
converge to what training does; otherwise the two have to be the same, and a sample must not see the others.
"""

import contextlib
import copy
import functools
import io
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from normbench.conformance.cases import Specimen, specimens
from normbench.hooks.methods import Method

EXACT = 1e-12  # of the largest value, in float64
HALF_FACTOR = 16  # half-precision outputs: this many units in the last place of the largest value
HALF = (torch.float16, torch.bfloat16)
SETTLED = 1e-12  # what is left of the first running statistics after the batches of _settle


@contextlib.contextmanager
def telling(specimen: Specimen) -> Iterator[None]:
    """Whatever fails inside becomes an AssertionError that says at which specimen."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{error} at a {specimen}") from error
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {first_line(error)} at a {specimen}") from error


def on_specimens(*, every: bool) -> Callable[[Callable[[Specimen], None]], Callable[[Method], None]]:
    """A check of one specimen becomes a check of a method on all of its specimens."""

    def of_method(check: Callable[[Specimen], None]) -> Callable[[Method], None]:
        @functools.wraps(check)
        def check_all(method: Method) -> None:
            for specimen in specimens(method, every=every):
                with telling(specimen):
                    check(specimen)

        return check_all

    return of_method


@on_specimens(every=True)
def check_reference(specimen: Specimen) -> None:
    """Every module equals `reference` in float64, with parameters away from their first values."""
    for seed in (0, 1):
        module = specimen.perturbed(seed).train()
        inputs, state = specimen.inputs(seed + 10), _state(module)
        is_weight = specimen.site.kind == "weight"
        tensors = [_raw_weight(module)] if is_weight else inputs
        expected = specimen.method.reference(specimen.site, specimen.p, state, *(t.clone() for t in tensors))
        near(module.weight if is_weight else module(*inputs), expected, EXACT, "differs from reference")


@on_specimens(every=False)
def check_evaluation(specimen: Specimen) -> None:
    """Evaluation does what training does: exactly, or once the running statistics have settled."""
    if _running(specimen.module):
        _settles(specimen)
        _comes_near(specimen)
        _follows_momentum(specimen)
    else:
        module, inputs = specimen.perturbed(4), specimen.inputs(5)
        same = torch.equal(module.train()(*inputs), module.eval()(*inputs))
        assert same, "has no running_ buffers, and its outputs in training and evaluation differ"


@torch.no_grad()
def _settles(specimen: Specimen) -> None:
    """After many equal batches evaluation differs from training by no more than n and n - 1 do."""
    batch = _repeated(specimen, 6)
    module = _settle(specimen.perturbed(4).train(), batch, specimen.p)
    n = batch[0].numel() // specimen.site.features
    near(module.eval()(*batch), module.train()(*batch), 3 / n, "evaluation does not come to do what training does")


@torch.no_grad()
def _comes_near(specimen: Specimen) -> None:
    """After many batches of one distribution evaluation is as near to training as batches of n are to each other."""
    module, batches = specimen.perturbed(4), [specimen.inputs(seed) for seed in range(20, 120)]
    for inputs in batches:
        module.train()(*inputs)
    evaluated = torch.stack([module.eval()(*inputs) for inputs in batches[-8:]])
    trained = torch.stack([module.train()(*inputs) for inputs in batches[-8:]])
    n = batches[0][0].numel() // specimen.site.features
    apart, bound = ((evaluated - trained).square().mean() / evaluated.square().mean()).sqrt().item(), 4 / n**0.5
    assert apart <= bound, f"evaluation is {apart:.2g} from training on batches of {n} values a channel, more than {bound:.2g}"


@torch.no_grad()
def _follows_momentum(specimen: Specimen) -> None:
    """One batch moves running statistics by `momentum` of the way, as torch counts it: m new + (1 - m) old."""
    momentum = getattr(specimen.p, "momentum", None)
    if not momentum:
        return
    first, second = _repeated(specimen, 7), [2 * x + 1 for x in _repeated(specimen, 8)]
    module = _settle(specimen.perturbed(4).train(), first, specimen.p)
    old = _running(copy.deepcopy(module))
    module(*second)
    one_step = _running(copy.deepcopy(module))
    new = _running(_settle(module, second, specimen.p))
    for name in old:
        expected = (1 - momentum) * old[name] + momentum * new[name]
        near(one_step[name], expected, 1e-9, f"{name} does not move by momentum {momentum} of the way")


@on_specimens(every=True)
def check_batch_independence(specimen: Specimen) -> None:
    """A sample alone gives what it gives among others; with batch statistics, in evaluation only."""
    module, inputs = specimen.perturbed(8), specimen.inputs(9)
    if _running(module):
        others = [torch.cat([x[:2], 2 * x[2:] + 1]) for x in inputs]
        apart = (module(*inputs)[1:2] - module(*others)[1:2]).abs().max()
        assert apart > EXACT, "has running_ buffers, and a sample does not see the others in training"
        module.eval()
    near(module(*(x[1:2] for x in inputs)), module(*inputs)[1:2], EXACT, "the output of a sample depends on the others")


@on_specimens(every=False)
def check_half_precision(specimen: Specimen) -> None:
    """In float16 and bfloat16, throughout and under autocast, outputs stay near those in float64."""
    for dtype in HALF:
        module, inputs = specimen.perturbed(10).to(dtype), specimen.inputs(11, dtype=dtype)
        expected = copy.deepcopy(module).double()(*(x.double() for x in inputs))
        bound = HALF_FACTOR * torch.finfo(dtype).eps
        near(copy.deepcopy(module)(*inputs).double(), expected, bound, f"is off in {dtype}")
        with torch.autocast("cpu", dtype):
            mixed = copy.deepcopy(module).float()(*inputs)
        near(mixed.double(), expected, bound, f"is off under autocast to {dtype}")


@on_specimens(every=False)
def check_state(specimen: Specimen) -> None:
    """A fresh module that loads the saved state gives the same outputs; a deep copy does, and shares nothing."""
    module, inputs = specimen.perturbed(12), specimen.inputs(13)
    module.train()(*inputs)
    saved = io.BytesIO()
    torch.save(module.state_dict(), saved)
    saved.seek(0)
    loaded, copied = specimen.fresh().double(), copy.deepcopy(module)
    loaded.load_state_dict(torch.load(saved, weights_only=True))
    for training in (False, True):
        expected = copy.deepcopy(module).train(training)(*inputs)
        for twin, what in ((loaded, "a module that loaded the state"), (copied, "a deep copy")):
            same = torch.equal(copy.deepcopy(twin).train(training)(*inputs), expected)
            assert same, f"{what} gives another output in {'training' if training else 'evaluation'}"
    memory = {t.data_ptr() for t in _tensors(module)}
    assert not any(t.data_ptr() in memory for t in _tensors(copied)), "a deep copy shares memory"


def near(got: Tensor, expected: Any, tolerance: float, what: str) -> None:
    """The largest difference is at most `tolerance` of the largest expected value; both are finite."""
    assert isinstance(expected, Tensor), f"{what}: expected a tensor, got {type(expected).__name__}"
    assert got.shape == expected.shape, f"{what}: shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    assert torch.isfinite(got).all(), f"{what}: not finite"
    assert torch.isfinite(expected).all(), f"{what}: the reference is not finite"
    apart = ((got - expected).abs().max() / expected.abs().max().clamp_min(1e-300)).item()
    assert apart <= tolerance, f"{what}: by {apart:.2g} of the largest value, more than {tolerance:.2g}"


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in (*module.named_parameters(), *module.named_buffers())}


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from (t for t in (*module.parameters(), *module.buffers()) if t.numel())


def _running(module: nn.Module) -> dict[str, Tensor]:
    return {n: b.detach() for n, b in module.named_buffers() if n.rsplit(".", 1)[-1].startswith("running_")}


def _raw_weight(module: nn.Module) -> Tensor:
    """The weight before its parametrization; the weight itself where it has none."""
    if torch.nn.utils.parametrize.is_parametrized(module, "weight"):
        return module.parametrizations.weight.original.detach()
    return module.weight.detach()


def _repeated(specimen: Specimen, seed: int) -> list[Tensor]:
    """A batch whose first and second half are equal, so that statistics by halves are those of the whole."""
    half = [x[: x.shape[0] // 2] for x in specimen.inputs(seed)]
    return [torch.cat([x, x]) for x in half]


@torch.no_grad()
def _settle(module: nn.Module, batch: list[Tensor], p: Any) -> nn.Module:
    """Pass the same batch through the module until nothing is left of its first running statistics."""
    momentum = getattr(p, "momentum", None) or 0.1
    steps = 2 if momentum == 1 else int(torch.log(torch.tensor(SETTLED)) / torch.log(torch.tensor(1 - momentum))) + 1
    for _ in range(min(steps, 5000)):
        module(*batch)
    return module
