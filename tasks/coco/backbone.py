"""Our residual network as a detector's backbone: the outputs of its stages, without what follows them in a classifier."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from normbench.hooks.builder import Placed
from normbench.hooks.methods import Method
from normbench.models import build_model

CLASSIFIER = ("head", "before_pool", "pool", "flatten", "drop", "before_fc", "fc")


class Backbone(nn.Module):
    """x (N, 3, H, W) -> {"layer1": (N, C, H/s, W/s), ...}: what each stage puts out, s twice that of the stage before.

    Parts are those of normbench.models.resnet under the same names, so that its state fits. `sites`: what the method
    took here. `frozen`: modules that are kept as they are, in evaluation mode whatever the rest does.
    """

    def __init__(self, design: Mapping[str, Any], method: Method, params: Any):
        super().__init__()
        network = build_model({"family": "resnet", **design}, method, params, num_classes=1)
        for name, part in network.named_children():
            if name not in CLASSIFIER:
                self.add_module(name, part)
        self.stages = [name for name, _ in self.named_children() if name.startswith("layer")]
        self.sites: list[Placed] = [p for p in network.sites if p.site.role != "head"]
        self.strides = [self._first_stride(network) * 2**i for i in range(len(self.stages))]
        self.widths = [self._width(p) for p in self.stages]
        self.frozen: list[nn.Module] = []

    @staticmethod
    def _first_stride(network: nn.Module) -> int:
        stem = network.stem
        return stem.conv.stride[0] * (2 if hasattr(stem, "pool") else 1)

    def _width(self, stage: str) -> int:
        return next(p.site.features for p in self.sites if p.site.kind == "join" and p.site.name.startswith(f"{stage}."))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x, found = self.stem(x), {}
        for name in self.stages:
            found[name] = x = getattr(self, name)(x)
        return found

    def freeze(self, freeze_at: int, freeze_norm: bool) -> None:
        """Keep the stem (freeze_at 1) and the first freeze_at - 1 stages as they are, and with freeze_norm all norms."""
        parts = [self.stem, *(getattr(self, name) for name in self.stages)]
        self.frozen = parts[:freeze_at]
        if freeze_norm:
            self.frozen = self.frozen + [p.module for p in self.sites if p.site.kind == "norm" and p.module is not None]
        for part in self.frozen:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def is_frozen(self, module: nn.Module) -> bool:
        return any(module is one for part in self.frozen for one in part.modules())


def load_weights(backbone: Backbone, weights: Mapping[str, Tensor]) -> None:
    """A classifier's state into the backbone; what only the classifier has is left out, anything else must fit."""
    own = {name: value for name, value in weights.items() if name.partition(".")[0] not in CLASSIFIER}
    backbone.load_state_dict(own)


@torch.no_grad()
def calibrate(detector: nn.Module, forward, batches: list) -> None:
    """Let the method calibrate on first batches. forward(batch): the detector's losses on one of them."""
    detector.method.calibrate(_Called(detector, forward), detector.sites, detector.method_params, batches)


class _Called(nn.Module):
    """The detector as a method sees it: called with a batch, whatever that is, it runs once through."""

    def __init__(self, detector: nn.Module, forward):
        super().__init__()
        self.detector, self._run = detector, forward

    def forward(self, batch):
        return self._run(batch)
