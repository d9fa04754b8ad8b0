"""The networks of the image and video tasks, written once for all methods.

`resnet`, `wide_resnet`, `vgg` and `plain_cnn` build one; `build_model` builds what a task.yaml describes.
Every model has `.sites` (what stands where), `.method` and `.method_params`.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from normbench.core.errors import InputError, unknown
from normbench.hooks.methods import Method
from normbench.models.plain import plain_cnn, vgg
from normbench.models.resnet import resnet, wide_resnet

__all__ = ["FAMILIES", "build_model", "plain_cnn", "resnet", "vgg", "wide_resnet"]

FAMILIES = {"resnet": resnet, "wide_resnet": wide_resnet, "vgg": vgg, "plain_cnn": plain_cnn}


def build_model(
    spec: Mapping[str, Any], method: Method, params: Any = None, *, num_classes: int, in_shape: Sequence[int] = (3, 224, 224)
) -> nn.Module:
    """The model that `spec` describes: {"family": "resnet", "depth": 50, ...}, the arguments as in the family's function.

    params: the method's Params; None: its defaults. in_shape: one sample's shape, (C, H, W) or (C, T, H, W).
    Raises InputError with one sentence for an unknown family, argument or value.
    """
    arguments = dict(spec)
    if "family" not in arguments:
        raise InputError(f"model: the key 'family' is missing (known: {', '.join(sorted(FAMILIES))})")
    family = arguments.pop("family")
    if family not in FAMILIES:
        raise unknown("model", "family", family, FAMILIES)
    dims = len(in_shape) - 1
    if (said := arguments.pop("dims", dims)) != dims:
        raise InputError(f"model {family}: dims is {said!r}, but a sample of shape {tuple(in_shape)} has {dims}")
    for given in ("method", "params", "num_classes", "in_channels"):
        if given in arguments:
            raise InputError(f"model {family}: {given} comes with the run and not with the model, got {arguments[given]!r}")
    build = FAMILIES[family]
    for name, parameter in inspect.signature(build).parameters.items():
        if name == "depth" and parameter.default is parameter.empty and name not in arguments:
            raise InputError(f"model {family}: the argument 'depth' is missing")
    return build(**arguments, method=method, params=params, num_classes=num_classes, in_channels=in_shape[0], dims=dims)
