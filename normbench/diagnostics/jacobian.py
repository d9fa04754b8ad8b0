"""How much a network stretches a change of its input: the largest singular value of its Jacobian."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from normbench.diagnostics.probes import untouched

STEP = 1e-8  # of a difference, in lengths of the batch: rounding and curvature each cost about as much, of what is measured


def jacobian_norm(model: nn.Module, x: Tensor, iterations: int) -> float:
    """Largest singular value of the Jacobian J from the batch x (N, ...) to the features in front of the last layer.

    On a copy in double precision: J^T u is a backward pass, and J v a difference of two forward passes, because not every
    method can be differentiated twice. What comes out after few iterations is a little too small and never too large.
    """
    model, x = copy.deepcopy(model).double().train(), x.detach().double().requires_grad_()
    seen: dict[str, Tensor] = {}
    last = [p.module for p in model.sites if p.site.kind == "weight"][-1]
    last.register_forward_pre_hook(lambda module, inputs: seen.update(features=inputs[0]))

    def features(batch: Tensor) -> Tensor:
        torch.manual_seed(0)  # of dropout: every pass is of one and the same function
        model(batch)
        return seen["features"]

    with untouched(model):
        output, step = features(x), STEP * float(x.detach().norm())

        def times(v: Tensor) -> Tensor:
            with torch.no_grad():
                return (features(x + step * v) - output) / step

        def transposed_times(u: Tensor) -> Tensor:
            return torch.autograd.grad(output, x, u, retain_graph=True)[0]

        start = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(x.device)
        return largest_singular_value(times, transposed_times, start, iterations)


def largest_singular_value(
    times: Callable[[Tensor], Tensor], transposed_times: Callable[[Tensor], Tensor], start: Tensor, iterations: int
) -> float:
    """Of the linear map J, given v -> J v and u -> J^T u, from the vector `start`.

    Power iteration on J^T J that keeps its vectors: J is projected onto all of them, where it is a bidiagonal matrix (G. Golub
    and W. Kahan, SIAM J. Numer. Anal. 2, 205, 1965), so that half as many steps tell as much. Vectors are made orthogonal to
    all before them. Ends before `iterations` where nothing is left that J has not been tried on.
    """
    v = start / start.norm()
    left, right = [], [v]
    diagonal, beside = [], []  # of the bidiagonal matrix
    for _ in range(iterations):
        u = _apart_from(left, times(v))
        diagonal.append(float(u.norm()))
        if not diagonal[-1] > torch.finfo(u.dtype).eps * max(diagonal):
            break
        left.append(u / u.norm())
        if len(diagonal) == iterations:
            break
        v = _apart_from(right, transposed_times(left[-1]))
        beside.append(float(v.norm()))
        if not beside[-1] > torch.finfo(v.dtype).eps * max(diagonal):
            break
        v = v / v.norm()
        right.append(v)
    size = len(diagonal)
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    matrix[torch.arange(size - 1), torch.arange(1, size)] = torch.tensor(beside[: size - 1], dtype=torch.float64)
    return float(torch.linalg.matrix_norm(matrix, 2))


def _apart_from(others: list[Tensor], vector: Tensor) -> Tensor:
    """What of `vector` is orthogonal to `others`, which are so to each other and of length one; taken off twice, for rounding."""
    for other in (*others, *others):
        vector = vector - (other * vector).sum() * other
    return vector
