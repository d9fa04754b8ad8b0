"""Norm modules, sites and tensors that the tests of the norm methods share."""

import torch

from normbench import load_method
from normbench.hooks.sites import Site

# statistics over the batch, kept running
BATCH_NORMS = ("batch_norm", "variance_norm", "l1_batch_norm", "linf_batch_norm", "topk_batch_norm")


def site(features=6, layout="NCHW", precedes="activation", **where):
    return Site("norm", "layer1.0.norm1", features, layout, precedes=precedes, **where)


def make(name, at=None, **params):
    method = load_method(name)
    return method.norm(at or site(), method.params(**params))


def gaussian(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def trained_step(module, x):
    """(output, gradient of x, gradients of the parameters) of one step with a fixed random cotangent."""
    x = x.clone().requires_grad_()
    y = module(x)
    gradients = torch.autograd.grad(y, [x, *module.parameters()], gaussian(*y.shape, seed=9, dtype=y.dtype))
    return y.detach(), gradients
