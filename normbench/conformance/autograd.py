"""Checks of what autograd and torch.compile make of a method's modules: part of the conformance kit."""

import copy
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from normbench.conformance.cases import Specimen, specimens
from normbench.conformance.modules import first_line, near, on_specimens, telling
from normbench.hooks.methods import Method


@on_specimens(every=False)
def check_gradients(specimen: Specimen) -> None:
    """Gradients to the inputs and to each parameter agree with finite differences, in training and evaluation.

    gradcheck along random directions: of each tensor one, and one of the output.
    """
    for training in (True, False):
        module, inputs = specimen.perturbed(2).train(training), specimen.inputs(3)
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        call, tensors = _pure(module, list(trained), len(inputs)), [*inputs, *trained.values()]
        for seed in (0, 1):
            steps = [torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in tensors]
            try:
                torch.autograd.gradcheck(_along(call, tensors, seed), steps, atol=1e-6, rtol=1e-5)
            except RuntimeError as error:
                raise AssertionError(f"gradcheck fails in {'training' if training else 'evaluation'}: {first_line(error)}") from error


def check_compile(method: Method, backends: tuple[str, ...] = ("aot_eager", "eager")) -> None:
    """torch.compile makes one graph of each kind of module, with the same numbers forward and backward.

    backends: of the first module, of the second, ...; the last one is that of all others.
    """
    chosen = {}
    for specimen in specimens(method, every=False):
        name, p = type(specimen.module).__name__, specimen.p
        if p == method.params():
            chosen.setdefault((name, specimen.site.layout), specimen)
        else:  # in one layout; weights, which take longest, where they are built of other parts
            chosen.setdefault((name, specimen.structure if specimen.site.kind == "weight" else p), specimen)
    for specimen, backend in itertools.zip_longest(chosen.values(), backends[: len(chosen)], fillvalue=backends[-1]):
        with telling(specimen):
            _compiles(specimen, backend)


def _compiles(specimen: Specimen, backend: str) -> None:
    module, inputs = specimen.perturbed(14).train(), [x.requires_grad_() for x in specimen.inputs(15)]
    expected = copy.deepcopy(module)(*inputs)
    torch.compiler.reset()
    try:
        got = torch.compile(copy.deepcopy(module), backend=backend, fullgraph=True)(*inputs)
    except Exception as error:  # dynamo has no common class for what it raises
        raise AssertionError(f"torch.compile fails: {first_line(error)}") from error
    near(got, expected, 1e-10, "gives another output compiled")
    gradients = (torch.autograd.grad(y.square().sum(), inputs) for y in (got, expected))
    for a, b in zip(*gradients, strict=True):
        near(a, b, 1e-10, "gives another gradient compiled")


def _pure(module: nn.Module, names: list[str], count: int) -> Callable[..., Tensor]:
    """The module as a function of its inputs and parameters that leaves its buffers alone."""
    buffers = dict(module.named_buffers())

    def call(*tensors: Tensor) -> Tensor:
        state = {**{n: b.clone() for n, b in buffers.items()}, **dict(zip(names, tensors[count:], strict=True))}
        return functional_call(module, state, tensors[:count])

    return call


def _along(call: Callable[..., Tensor], tensors: list[Tensor], seed: int) -> Callable[..., Tensor]:
    """`call` as a function of how far each tensor has gone in a random direction, projected on one."""
    generator = torch.Generator().manual_seed(seed)
    directions = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in tensors]
    starts = [t.detach() for t in tensors]
    projection = torch.randn(call(*starts).shape, generator=generator, dtype=torch.float64)

    def moved(*steps: Tensor) -> Tensor:
        return (projection * call(*(t + s * d for t, s, d in zip(starts, steps, directions, strict=True)))).sum()

    return moved
