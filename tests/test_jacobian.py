"""The largest singular value of a map that is only known by what it does to vectors, against torch's of the whole matrix."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from normbench.diagnostics.jacobian import largest_singular_value


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), rank=st.integers(0, 9), spread=st.floats(0, 6), seed=st.integers(0, 99))
def test_the_largest_singular_value_of_any_matrix_from_below(rows, columns, rank, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randn(n, rank, generator=generator, dtype=torch.float64) for n in (rows, columns))
    matrix = a @ torch.diag(torch.logspace(0, -spread, rank, dtype=torch.float64)) @ b.T
    start = torch.randn(columns, generator=generator, dtype=torch.float64)
    found = [largest_singular_value(matrix.mv, matrix.T.mv, start, n) for n in range(1, 11)]
    exact = float(torch.linalg.svdvals(matrix)[0])
    assert all(one <= other * (1 + 1e-12) for one, other in itertools.pairwise([*found, exact]))
    assert found[-1] == pytest.approx(exact, rel=1e-9)
    assert found[0] == pytest.approx(float(matrix.mv(start / start.norm()).norm()), rel=1e-12)


def test_kept_vectors_tell_in_six_steps_what_powers_tell_in_ten():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        matrix, start = (
            torch.randn(60, 80, generator=generator, dtype=torch.float64),
            torch.randn(80, generator=generator, dtype=torch.float64),
        )
        powers = start / start.norm()
        for _ in range(9):
            powers = matrix.T @ (matrix @ powers)
            powers /= powers.norm()
        assert largest_singular_value(matrix.mv, matrix.T.mv, start, 6) > float((matrix @ powers).norm())
