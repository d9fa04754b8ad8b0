"""The builder hands out sites, asks the method what stands there, and keeps the list.

Models are written once against it: `build.norm("norm1", width)` returns the module that the method
puts there, or None where nothing stands; `chain` strings modules together and leaves out the Nones.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from normbench.core.errors import InputError
from normbench.hooks.methods import Method
from normbench.hooks.sites import Site

LAYOUT_OF = {1: "NLC", 2: "NCHW", 3: "NCTHW"}
CONV_OF = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Refused(InputError):
    """The method cannot stand at a site of this model; the sentence says why."""


@dataclass
class Placed:
    """A site and the module that stands there (None: nothing does; a default counts as not changed)."""

    site: Site
    module: nn.Module | None
    changed: bool


class Sum(nn.Module):
    """skip + branch: the join of a network whose method does not decide otherwise."""

    def forward(self, skip: Tensor, branch: Tensor) -> Tensor:
        return skip + branch


class Builder:
    """Hands out the sites of one model to one method.

    method, params: who stands there, and with what parameters (None: the method's defaults).
    dims: 2 for images (NCHW), 3 for clips (NCTHW), 1 for token sequences (NLC, linear layers).
    init: called with each layer given to `weight`, before the method sees it, so that what a method
        derives from a layer (its norm, a reparametrization) starts from the model's own initialization.
    context: what all sites handed out from here share (role, k, depth, ...); see `at`.
    """

    def __init__(
        self,
        method: Method,
        params: Any = None,
        *,
        dims: int = 2,
        layout: str | None = None,
        init: Callable[[nn.Module], None] | None = None,
    ):
        self.method = method
        self.params = method.params() if params is None else params
        self.dims = dims
        self.layout = layout or LAYOUT_OF[dims]
        self.init = init
        self.sites: list[Placed] = []
        self._prefix = ""
        self._context: dict[str, Any] = {}

    def at(self, prefix: str, **context: Any) -> "Builder":
        """A builder for a part of the same model: names start with `prefix.`, sites share `context`."""
        part = object.__new__(Builder)
        part.__dict__ = {**self.__dict__, "_prefix": f"{self._prefix}{prefix}.", "_context": {**self._context, **context}}
        return part

    def norm(self, name: str, features: int, **where: Any) -> nn.Module | None:
        site = self._site("norm", name, features, where)
        return self._place(site, self.method.norm(site, self.params))

    def bias(self, name: str, features: int, **where: Any) -> nn.Module | None:
        site = self._site("bias", name, features, where)
        return self._place(site, self.method.bias(site, self.params))

    def activation(self, name: str, features: int, act: nn.Module, **where: Any) -> nn.Module:
        site = self._site("activation", name, features, where)
        return self._place(site, self.method.activation(site, self.params, act), act)

    def join(self, name: str, features: int, **where: Any) -> nn.Module:
        site = self._site("join", name, features, where)
        return self._place(site, self.method.join(site, self.params), Sum())

    def weight(self, name: str, layer: nn.Module, **where: Any) -> nn.Module:
        """A convolution or linear layer, as the method wants it."""
        if self.init is not None and not layer.weight.is_meta:  # a model without memory has no values, and asking for them is slow
            self.init(layer)
        features = layer.out_channels if hasattr(layer, "out_channels") else layer.out_features
        site = self._site("weight", name, features, where)
        return self._place(site, self.method.weight(site, self.params, layer), layer)

    def conv(
        self, name: str, c_in: int, c_out: int, kernel: int, *, stride=1, groups: int = 1, bias: bool = False, padding=None, **where: Any
    ) -> nn.Module:
        """A convolution of this model's dimensions, padded to keep the size at stride 1 unless `padding` is given."""
        if padding is None:
            padding = kernel // 2 if isinstance(kernel, int) else tuple(k // 2 for k in kernel)
        layer = CONV_OF[self.dims](c_in, c_out, kernel, stride=stride, padding=padding, groups=groups, bias=bias)
        return self.weight(name, layer, **where)

    def finish(self, model: nn.Module) -> nn.Module:
        """Let the method initialize the model, attach the list of sites, and check that it stood somewhere."""
        self.method.initialize(model, self.sites, self.params)
        stood = any(p.changed for p in self.sites) or {"initialize", "clip"} & set(self.method.defined)
        if not stood:
            raise InputError(f"{self.method.file}: changed nothing in this model: no site took it")
        model.sites, model.method, model.method_params = self.sites, self.method, self.params
        return model

    def _site(self, kind: str, name: str, features: int, where: dict[str, Any]) -> Site:
        layout = where.pop("layout", self.layout)
        site = Site(kind, self._prefix + name, features, layout, **{**self._context, **where})
        if reason := self.method.refuse(site, self.params):
            raise Refused(f"{self.method.short} cannot stand at {site.name} ({kind}, {features} features): {reason}")
        return site

    def _place(self, site: Site, chosen: nn.Module | None, default: nn.Module | None = None) -> nn.Module | None:
        module = default if chosen is None else chosen
        self.sites.append(Placed(site, module, chosen is not None))
        return module


def chain(**parts: nn.Module | None) -> nn.Sequential:
    """The parts that are not None, in order, each under its name."""
    return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if part is not None))


def refusal(make: Callable[[], Any]) -> str | None:
    """Why the method refuses in the model that `make` builds, tried without memory; None where it stands."""
    try:
        with torch.device("meta"), _Undrawn():
            make()
    except Refused as reason:
        return str(reason)
    return None


class _Undrawn(TorchFunctionMode):
    """Random values of a tensor without memory are none, and torch asks its compiler how to draw them, two seconds of imports."""

    DRAWS = frozenset({Tensor.normal_, Tensor.uniform_})

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.DRAWS and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def what_stands(sites: Iterable[Placed]) -> list[dict[str, Any]]:
    """One row a site for the record: name, kind, features, k, depth, and what stands there."""
    return [
        {
            "site": p.site.name,
            "kind": p.site.kind,
            "features": p.site.features,
            "k": p.site.k,
            "depth": p.site.depth,
            "stands": _describe(p.module) if p.changed else "default",
        }
        for p in sites
    ]


def _describe(module: nn.Module | None) -> str:
    if module is None:
        return "nothing"
    reparametrized = getattr(module, "parametrizations", None)
    if reparametrized is not None and "weight" in reparametrized:
        return f"{type(module).__mro__[1].__name__} with {type(reparametrized['weight'][0]).__name__}"
    return type(module).__name__


@torch.no_grad()
def count_parameters(model: nn.Module) -> int:
    """The number of trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
