"""What a method is tried on: its sites of every kind and layout, its parameters, and tensors that fit.

A specimen is one site, one `Params`, and the module that the method puts there. `specimens(method)`
finds them without knowing any method: parameters vary by themselves (each boolean flipped, each
choice of a `Literal` taken, and what the file lists in an optional `VARIANTS`), and the places are
those that the models hand out.
"""

import itertools
import re
import typing
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from normbench.core.errors import InputError
from normbench.hooks.methods import STANDING, Method
from normbench.hooks.sites import LAYOUTS, Site

FEATURES = (6, 8, 32, 64, 12, 16, 48)  # the first two that a method does not refuse are used
POSITIONS = {"NCHW": ((5, 3), (4, 4)), "NCTHW": ((2, 3, 2), (1, 3, 4)), "NLC": ((7,), (5,))}
SAMPLES = (4, 6)
BLOCK = {"role": "branch", "k": 2, "depth": 3, "length": 2, "stage": 0, "stage_k": 2}
FIRST = {**BLOCK, "k": 1, "stage_k": 1}
CHANGE = {**BLOCK, "k": 3, "stage": 1, "stage_k": 1, "transition": True}
PLAIN = {"role": "plain", "k": 2, "depth": 5}

# kind -> the places where a model has such a site: what the builder of normbench.models says of it
PLACES: dict[str, list[dict[str, Any]]] = {
    "norm": [
        {**BLOCK, "version": 2, "position": 0, "follows": "join", "precedes": "activation"},
        {**CHANGE, "version": 2, "position": 0, "follows": "join", "precedes": "activation"},
        {**BLOCK, "version": 2, "position": 1, "follows": "weight", "precedes": "activation"},
        {**BLOCK, "version": 1, "position": 0, "follows": "weight", "precedes": "activation"},
        {**BLOCK, "version": 1, "position": 1, "follows": "weight", "precedes": "join"},
        {**CHANGE, "version": 1, "role": "shortcut", "follows": "weight", "precedes": "join"},
        {"role": "stem", "follows": "weight", "precedes": "activation"},
        {"role": "head", "version": 2, "follows": "join", "precedes": "activation"},
        {"role": "head", "version": 2, "follows": "activation", "precedes": "pool"},
        {**PLAIN, "follows": "weight", "precedes": "activation"},
    ],
    "join": [
        *({**where, "version": version} for version in (2, 1) for where in (BLOCK, FIRST, CHANGE)),
        {"k": 1, "depth": 1, "version": 2, "stage": 0, "stage_k": 1},
    ],
    "weight": [
        {**BLOCK, "version": 2, "position": 0, "follows": "activation", "precedes": "norm"},
        {**BLOCK, "version": 2, "position": 1, "follows": "activation", "precedes": "join"},
        {**BLOCK, "version": 1, "position": 1, "follows": "activation", "precedes": "norm"},
        {**CHANGE, "version": 2, "role": "shortcut", "follows": "activation", "precedes": "join"},
        {"role": "stem", "follows": "input", "precedes": "norm"},
        {"role": "head", "follows": "pool", "precedes": "output"},
        {**PLAIN, "follows": "activation", "precedes": "norm"},
    ],
    "activation": [
        {**BLOCK, "version": 2, "position": 0, "follows": "norm", "precedes": "weight"},
        {**BLOCK, "version": 1, "follows": "join"},
        {"role": "stem", "follows": "norm"},
        {**PLAIN, "follows": "norm", "precedes": "weight"},
    ],
    "bias": [
        {**BLOCK, "version": 2, "position": 0, "follows": "activation", "precedes": "weight"},
        {**BLOCK, "version": 2, "position": 1, "follows": "norm", "precedes": "activation"},
        {**BLOCK, "version": 1, "position": 0, "precedes": "weight"},
        {**BLOCK, "version": 1, "follows": "join", "precedes": "activation"},
        {**CHANGE, "version": 2, "role": "shortcut", "follows": "activation", "precedes": "weight"},
        {"role": "stem", "follows": "norm", "precedes": "activation"},
        {"role": "head", "follows": "activation", "precedes": "pool"},
        {"role": "head", "follows": "pool", "precedes": "weight"},
        {**PLAIN, "follows": "activation", "precedes": "weight"},
    ],
}


@dataclass
class Specimen:
    """A module that `method` puts at `site` with parameters `p`, and the shape of what goes through it."""

    method: Method
    site: Site
    p: Any
    shape: tuple[int, ...]
    module: nn.Module = field(init=False)

    def __post_init__(self):
        self.module = self.fresh()

    def fresh(self) -> nn.Module | None:
        """The module as the method makes it, or None where it leaves the default."""
        kind = self.site.kind
        if kind == "weight":
            return self.method.weight(self.site, self.p, self._layer())
        if kind == "activation":
            return self.method.activation(self.site, self.p, nn.ReLU())
        return getattr(self.method, kind)(self.site, self.p)

    @property
    def structure(self) -> tuple[str, int, str]:
        """Kind, dimensions of the tensors, and what the module prints without its numbers."""
        return self.site.kind, len(self.shape), re.sub(r"\d[\d.e+-]*", "", repr(self.module))

    def inputs(self, seed: int = 0, *, dtype: torch.dtype = torch.float64) -> list[Tensor]:
        """Gaussian tensors, each channel with a mean and a scale of its own; skip and branch for a join."""
        generator = torch.Generator().manual_seed(seed)
        count, shape, dim = (2 if self.site.kind == "join" else 1), list(self.shape), self.site.channel_dim
        channels = shape[dim]
        spread = [1] * len(shape)
        spread[dim] = channels
        # the distribution is the same for every seed; only the draw differs
        of_channel = torch.linspace(-1, 1, channels, dtype=torch.float64).reshape(spread)
        draw = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(count)]
        return [(x * (1.2 + 0.5 * of_channel) + 0.7 * of_channel + 0.2).to(dtype) for x in draw]

    def perturbed(self, seed: int = 0) -> nn.Module:
        """A fresh module in float64 whose parameters and buffers have left their first values.

        Parameters move by a Gaussian of deviation 0.3; float buffers are changed by a few per cent
        without changing their sign, because a variance has to stay positive.
        """
        module, generator = self.fresh().double(), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            for buffer in module.buffers():
                if buffer.is_floating_point():
                    buffer += (0.1 + 0.1 * buffer.abs()) * torch.rand(buffer.shape, generator=generator, dtype=torch.float64)
        return module

    def _layer(self) -> nn.Module:
        c_in, c_out = self.shape[self.site.channel_dim], self.site.features
        torch.manual_seed(0)
        if self.site.layout == "NLC" or self.site.role == "head":
            return nn.Linear(c_in, c_out, bias=self.site.role == "head")
        conv = nn.Conv2d if self.site.layout == "NCHW" else nn.Conv3d
        return conv(c_in, c_out, 3, padding=1, bias=False, groups=2 if self.site.role == "plain" else 1)

    def __str__(self) -> str:
        told = {k: v for k, v in asdict(self.p).items() if v != getattr(self.method.params(), k)}
        where = ", ".join(f"{f.name} {v}" for f in fields(self.site)[4:] if (v := getattr(self.site, f.name)) not in (None, False))
        return f"{self.site.kind} site, {self.site.layout}, tensors {self.shape}, {where}, params {told or 'default'}"


def variants(method: Method) -> list[Any]:
    """The default Params, and one with each boolean flipped, each other Literal, and each of VARIANTS."""
    default, changes = method.params(), list(method.variants)
    hints = typing.get_type_hints(method.Params)
    for f in fields(method.Params):
        value = getattr(default, f.name)
        if isinstance(value, bool):
            changes.append({f.name: not value})
        changes += [{f.name: choice} for choice in _choices(hints[f.name]) if choice != value]
    found = [default]
    for change in changes:
        try:
            found.append(method.params(**change))
        except InputError:
            if change in method.variants:
                raise  # a combination that the file itself names has to be right
    return found


def _choices(hint: Any) -> list[Any]:
    """The values in every Literal of a type, however deep in a union."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [choice for part in typing.get_args(hint) for choice in _choices(part)]


def specimens(method: Method, *, every: bool = True) -> Iterator[Specimen]:
    """All specimens of a method: every Params, kind, layout, place and two sizes.

    Not `every`: one size, and of modules that differ in nothing but numbers (other than those of
    Params) one for each layout. For checks that are slow and where the place does not matter.
    """
    for p in variants(method):
        seen = set()
        for kind, layout in itertools.product(STANDING, LAYOUTS):
            for place in PLACES[kind] if kind in method.defined else ():
                for specimen in itertools.islice(_at(method, p, kind, layout, place), 2 if every else 1):
                    if every or specimen.structure not in seen:
                        seen.add(specimen.structure)
                        yield specimen


def refusals(method: Method, p: Any) -> dict[tuple[str, str], str]:
    """{(kind, layout): sentence} for the kinds and layouts where the method refuses every place."""
    found = {}
    for kind, layout in itertools.product(STANDING, LAYOUTS):
        said = [method.refuse(site, p) for place in PLACES[kind] for site in _sites(kind, layout, place)]
        if all(reason is not None for reason in said):
            found[kind, layout] = said[-1]
    return found


def _sites(kind: str, layout: str, place: dict[str, Any]) -> Iterator[Site]:
    """Sites at one place, of every number of features."""
    if place.get("role") == "head" and kind in ("bias", "weight") and place.get("precedes") != "pool":
        layout = "NLC"  # behind the pool a sample is a vector
    for features in FEATURES:
        yield Site(kind, f"layer1.0.{kind}", features, layout, **place)


def _at(method: Method, p: Any, kind: str, layout: str, place: dict[str, Any]) -> Iterator[Specimen]:
    """Specimens at one place, in the sizes that are not refused; nothing where the method leaves the default."""
    kept = (site for site in _sites(kind, layout, place) if method.refuse(site, p) is None)
    for number, site in enumerate(itertools.islice(kept, 2)):
        positions = POSITIONS[site.layout][number] if site.layout == layout else ()
        channels = 4 if kind == "weight" else site.features
        shape = (SAMPLES[number], *positions, channels) if site.layout == "NLC" else (SAMPLES[number], channels, *positions)
        specimen = Specimen(method, site, p, shape)
        if specimen.module is not None:
            yield specimen
