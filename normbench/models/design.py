"""What a model's arguments may be, checked where they enter, and the layers that models share."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from normbench.core.errors import InputError, unknown
from normbench.hooks.builder import Builder
from normbench.hooks.methods import Method

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "selu": nn.SELU, "gelu": nn.GELU}
DROP_CHANNELS = {2: nn.Dropout2d, 3: nn.Dropout3d}
MAX_POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOL = {2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE_POOL = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


@dataclass(frozen=True, kw_only=True)
class Design:
    """What all families let a user choose.

    activation: relu, elu, selu or gelu.
    init: the convolutions' weights: fan_out or fan_in (normal, He et al., arXiv:1502.01852), or torch
        (PyTorch's default). Biases of convolutions start at 0, but for torch.
    fc_init: the linear layers: torch, normal (standard deviation 0.01), kaiming (as `init`) or linear
        (normal with variance 1 / fan_in); biases start at 0, but for torch.
    conv_bias: whether the convolutions have a bias of their own.
    drop_conv: probability of Dropout2d after each convolution and its norm, in the last two stages only.
    drop_fc: probability of dropout before the last layer.
    """

    activation: str = "relu"
    init: str = "fan_out"
    fc_init: str = "torch"
    conv_bias: bool = False
    drop_conv: float = 0.0
    drop_fc: float = 0.0

    def check(self, family: str) -> None:
        """Raise InputError with one sentence for the first value that cannot be."""
        one_of(family, "activation", self.activation, ACTIVATIONS)
        one_of(family, "init", self.init, ("fan_out", "fan_in", "torch"))
        one_of(family, "fc_init", self.fc_init, ("torch", "normal", "kaiming", "linear"))
        for name in ("drop_conv", "drop_fc"):
            probability(family, name, getattr(self, name))
        for field in dataclasses.fields(self):
            if field.type is bool and not isinstance(getattr(self, field.name), bool):
                raise InputError(f"model {family}: {field.name} must be true or false, got {getattr(self, field.name)!r}")

    def act(self) -> nn.Module:
        """A new activation. None works in place: what a probe keeps, or a skip still needs, must not change under it."""
        return ACTIVATIONS[self.activation]()

    def drop(self, dims: int, stage: int, stages: int) -> nn.Module | None:
        """Channel dropout where drop_conv asks for it, else None."""
        return DROP_CHANNELS[dims](self.drop_conv) if self.drop_conv and stage >= stages - 2 else None

    def builder(self, family: str, method: Method, params: Any, dims: int) -> Builder:
        """The builder of a model of this design."""
        one_of(family, "dims", dims, (2, 3))
        return Builder(method, params, dims=dims, init=partial(initialize, conv=self.init, fc=self.fc_init))


def initialize(layer: nn.Module, conv: str, fc: str) -> None:
    """Set a new layer's weights as `Design.init` and `Design.fc_init` say."""
    chosen = fc if isinstance(layer, nn.Linear) else conv
    if chosen == "torch":
        return
    if chosen == "normal":
        nn.init.normal_(layer.weight, std=0.01)
    elif chosen == "linear":
        nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    else:
        nn.init.kaiming_normal_(layer.weight, mode="fan_in" if conv == "torch" else conv, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def pool_all(build: Builder, features: int, follows: str) -> dict[str, nn.Module | None]:
    """(N, C, ...) -> (N, C): the mean over all positions, and the bias in front of it."""
    bias = build.bias("before_pool", features, role="head", follows=follows, precedes="pool")
    return {"before_pool": bias, "pool": ADAPTIVE_POOL[build.dims](1), "flatten": nn.Flatten()}


def classify(build: Builder, name: str, features: int, num_classes: int, drop: float) -> dict[str, nn.Module | None]:
    """Pooled features (N, C) -> class scores (N, num_classes), and what stands in front of the layer."""
    bias = build.bias(f"before_{name}", features, layout="NLC", role="head", follows="pool", precedes="weight")
    layer = build.weight(name, nn.Linear(features, num_classes), layout="NLC", role="head", follows="pool", precedes="output")
    return {"drop": nn.Dropout(drop) if drop else None, f"before_{name}": bias, name: layer}


def arguments(family: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise InputError for the first given argument that the family does not have."""
    known = list(known)
    for key in given:
        if key not in known:
            raise unknown(f"model {family}", "argument", key, known)


def field_names(design: type[Design]) -> list[str]:
    return [field.name for field in dataclasses.fields(design)]


def one_of(family: str, key: str, value: Any, known: Mapping | Iterable) -> None:
    """Raise InputError unless `value` is among `known`."""
    if value not in list(known):
        raise unknown(f"model {family}: {key}", "value that exists", value, known)


def whole(family: str, key: str, value: Any, least: int = 1) -> None:
    """Raise InputError unless `value` is a whole number from `least` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"model {family}: {key} must be a whole number from {least} up, got {value!r}")


def wholes(family: str, key: str, values: Any) -> None:
    """Raise InputError unless `values` is a list of whole numbers from 1 up."""
    if not isinstance(values, list | tuple) or not values:
        raise InputError(f"model {family}: {key} must be a list of whole numbers, got {values!r}")
    for value in values:
        whole(family, f"each of {key}", value)


def probability(family: str, key: str, value: Any) -> None:
    """Raise InputError unless 0 <= value < 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise InputError(f"model {family}: {key} must be a probability from 0 to below 1, got {value!r}")
