"""How alike samples are and how many directions they span: similarity, correlation, stable and numerical rank.

N samples, F features a sample, C channels; all in double precision. Similarity and stable rank are those of Beyond
BatchNorm (arXiv:2106.05956).
"""

import torch
from torch import Tensor


def unit_rows(flat: Tensor) -> Tensor:
    """Samples (N, F) scaled to length one; a sample of zeros stays, and is like no other."""
    return flat / flat.norm(dim=1, keepdim=True).clamp_min(torch.finfo(flat.dtype).tiny)


def similarity(gram: Tensor) -> float:
    """Mean cosine between different samples; gram (N, N) of samples of length one, N >= 2."""
    n = len(gram)
    return float((gram.sum() - gram.trace()) / (n * (n - 1)))


def mean_abs_correlation(channels: Tensor) -> float:
    """Mean |correlation| between different channels over their observations; channels (C, observations). Constant ones are left out."""
    centered = channels - channels.mean(1, keepdim=True)
    covariance = centered @ centered.T
    size = covariance.diagonal().sqrt()
    varies = size > 0
    n = int(varies.sum())
    if n < 2:
        return 0.0
    correlation = covariance[varies][:, varies] / (size[varies, None] * size[None, varies])
    return float((correlation.abs().sum() - correlation.trace()) / (n * (n - 1)))


def ranks(gram: Tensor, features: int | list[int]) -> tuple[Tensor, Tensor]:
    """Stable rank trace(K) / ||K||_2 and numerical rank of Gram matrices K (..., N, N) of samples with so many features, of all or each.

    A singular value counts where it is above the largest times max(N, F) times single precision's epsilon.
    """
    eigenvalues = torch.linalg.eigvalsh(gram)
    largest = eigenvalues[..., -1].clamp_min(torch.finfo(gram.dtype).tiny)
    bound = (torch.as_tensor(features).to(gram).clamp_min(gram.shape[-1]) * torch.finfo(torch.float32).eps) ** 2
    counted = (eigenvalues > (bound * largest)[..., None]).sum(-1) * (eigenvalues[..., -1] > 0)
    return gram.diagonal(dim1=-2, dim2=-1).sum(-1) / largest, counted
