"""Small networks with methods of the residual family, and what of them tests ask for."""

import torch
from torch import nn

from normbench.hooks.builder import Builder
from normbench.hooks.methods import load_method
from normbench.hooks.sites import Site
from normbench.models import resnet

WEIGHTS = ("weight_norm", "bounded_weight_norm", "scaled_weight_standardization")


class Blocks(nn.Module):
    """`depth` blocks on vectors (N, 1, C): join(x, f(x)), f being m linear layers with activations in front."""

    def __init__(self, name, depth=4, width=6, layers=2, **params):
        super().__init__()
        method = load_method(name)
        build, self.f, self.joins = Builder(method, method.params(**params), dims=1), nn.ModuleList(), nn.ModuleList()
        for k in range(1, depth + 1):
            at = build.at(f"block{k}", role="branch", k=k, depth=depth, length=layers, version=2, stage=0, stage_k=k)
            rows = [self._layer(at, i, width) for i in range(layers)]
            self.f.append(nn.Sequential(*[part for row in rows for part in row if part is not None]))
            self.joins.append(at.join("join", width))
        build.finish(self.double())

    @staticmethod
    def _layer(at, i, width):
        norm = at.norm(f"norm{i}", width, position=i, follows="weight", precedes="activation")
        act = at.activation(f"act{i}", width, nn.ReLU(), position=i)
        bias = at.bias(f"bias{i}", width, position=i, follows="activation", precedes="weight")
        weight = at.weight(f"fc{i}", nn.Linear(width, width, bias=False), position=i)
        return norm, act, bias, weight

    def forward(self, x):
        for f, join in zip(self.f, self.joins, strict=True):
            x = join(x, f(x))
        return x


def site(kind="join", features=6, layout="NCHW", **where):
    return Site(kind, "here", features, layout, **where)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def small(name, seed=0, version=2, layers=(2, 2), params=None, **design):
    """A small network of images with transitions, in float64; the same weights before the method for equal seeds."""
    torch.manual_seed(seed)
    method = load_method(name)
    given = method.params(**(params or {}))
    design = {"block": "basic", "stem": "cifar", "width": 8, "num_classes": 3, **design}
    return resnet(layers=list(layers), version=version, method=method, params=given, **design).double()


def weights_of(model, role):
    return [p for p in model.sites if p.site.kind == "weight" and p.site.role == role]


def conv(c_in=5, c_out=6, seed=0, **keywords):
    torch.manual_seed(seed)
    return nn.Conv2d(c_in, c_out, 3, padding=1, bias=False, **keywords).double()


def standing(name, layer, **params):
    method = load_method(name)
    return method.weight(site("weight", layer.weight.shape[0], role="plain"), method.params(**params), layer)


def norms(w):
    return w.detach().flatten(1).square().sum(1).sqrt()
