"""Plain convolutional networks: VGG (arXiv:1409.1556), and the 10, 20 and 40 layers of Beyond BatchNorm (arXiv:2106.05956).

Shapes: images (N, C, H, W), clips (N, C, T, H, W) -> class scores (N, num_classes).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from normbench.core.errors import InputError
from normbench.hooks.builder import Builder, chain
from normbench.hooks.methods import Method
from normbench.models.blocks import activate
from normbench.models.design import (
    ADAPTIVE_POOL,
    MAX_POOL,
    Design,
    arguments,
    classify,
    field_names,
    one_of,
    pool_all,
    probability,
    whole,
)

# depth -> convolutions of each stage, before its max pool; channels are width x (1, 2, 4, 8, 8).
VGG = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
DOUBLING = (1, 2, 4, 8, 8)
# depth -> width factor of each fifth of the convolutions; all fifths but the last end with stride 2.
# The fourth one of 20 layers has 256 channels: github.com/EkdeepSLubana/BeyondBatchNorm, config.py, cfg_20.
PLAIN = {10: DOUBLING, 20: (1, 2, 4, 4, 8), 40: DOUBLING}


class Layer(NamedTuple):
    """One 3x3 convolution: its output channels, its stride, whether a max pool follows, its stage and number there."""

    features: int
    stride: int
    pool: bool
    stage: int
    stage_k: int


@dataclass(frozen=True, kw_only=True)
class VGGDesign(Design):
    """See Design for the other fields.

    classifier: imagenet (three linear layers on 7x7 positions) or cifar (one linear layer, `lastlayer`, on the
        mean over positions).
    hidden: width of the imagenet classifier's two hidden layers; None: 64 x width, so 4096 of the full width.
    dropout: behind the hidden layers; drop_fc is the cifar classifier's.
    """

    classifier: str = "imagenet"
    hidden: int | None = None
    dropout: float = 0.5
    fc_init: str = "normal"
    conv_bias: bool = True

    def check(self, family: str) -> None:
        super().check(family)
        one_of(family, "classifier", self.classifier, ("imagenet", "cifar"))
        probability(family, "dropout", self.dropout)
        if self.hidden is not None:
            whole(family, "hidden", self.hidden)
        if self.classifier == "imagenet" and self.drop_fc:
            raise InputError(
                f"model {family}: drop_fc goes with classifier cifar; that of imagenet has dropout, got drop_fc {self.drop_fc}"
            )


def vgg(
    depth: int,
    *,
    method: Method,
    num_classes: int,
    params: Any = None,
    dims: int = 2,
    in_channels: int = 3,
    width: int = 64,
    **design: Any,
) -> nn.Module:
    """VGG with 11, 13, 16 or 19 weight layers, laid out as torchvision's. design: the fields of VGGDesign.

    width: channels of the first stage. Raises InputError with one sentence for what cannot be built.
    """
    arguments("vgg", design, [*field_names(VGGDesign), "depth", "width"])
    chosen = VGGDesign(**design)
    build = _start("vgg", chosen, method, params, dims, num_classes=num_classes, in_channels=in_channels, width=width, depth=depth)
    if depth not in VGG:
        raise InputError(f"model vgg: depth must be 11, 13, 16 or 19, got {depth}; the nearest: {_nearest(depth, VGG)}")
    counts = VGG[depth]
    layers = [Layer(width * DOUBLING[s], 1, i == n, s, i) for s, n in enumerate(counts) for i in range(1, n + 1)]
    body = _body(build, chosen, layers, in_channels)
    c = layers[-1].features
    if chosen.classifier == "cifar":
        ending = pool_all(build, c, "pool") | classify(build, "lastlayer", c, num_classes, chosen.drop_fc)
    else:
        ending = _imagenet_classifier(build, chosen, c, chosen.hidden or 64 * width, num_classes)
    return build.finish(chain(body=body, **ending))


def plain_cnn(
    depth: int,
    *,
    method: Method,
    num_classes: int,
    params: Any = None,
    dims: int = 2,
    in_channels: int = 3,
    width: int = 64,
    uniform: bool = False,
    **design: Any,
) -> nn.Module:
    """`depth` 3x3 convolutions, the mean over positions, one linear layer: Beyond BatchNorm's networks without skips.

    depth: 10, 20 or 40, with four strides of 2 and widths from `width` to 8 x `width`. uniform: any depth, every
    layer `width` wide and no stride. design: the fields of Design; init is fan_in, as in the released code.
    """
    arguments("plain_cnn", design, [*field_names(Design), "depth", "width", "uniform"])
    chosen = Design(**{"init": "fan_in", **design})
    one_of("plain_cnn", "uniform", uniform, (True, False))
    build = _start("plain_cnn", chosen, method, params, dims, num_classes=num_classes, in_channels=in_channels, width=width, depth=depth)
    if uniform:
        layers = [Layer(width, 1, False, 0, i) for i in range(1, depth + 1)]
    elif depth in PLAIN:
        n = depth // 5
        layers = [Layer(width * f, 2 if i == n and s < 4 else 1, False, s, i) for s, f in enumerate(PLAIN[depth]) for i in range(1, n + 1)]
    else:
        nearest = _nearest(depth, PLAIN)
        raise InputError(f"model plain_cnn: depth must be 10, 20 or 40, or any with uniform, got {depth}; the nearest: {nearest}")
    body, c = _body(build, chosen, layers, in_channels), layers[-1].features
    ending = pool_all(build, c, "activation") | classify(build, "fc", c, num_classes, chosen.drop_fc)
    return build.finish(chain(body=body, **ending))


def _start(family: str, design: Design, method: Method, params: Any, dims: int, **numbers: Any) -> Builder:
    design.check(family)
    for name, value in numbers.items():
        whole(family, name, value)
    return design.builder(family, method, params, dims)


def _nearest(depth: int, known: dict[int, Any]) -> int:
    return min(known, key=lambda d: abs(d - depth))


def _body(build: Builder, design: Design, layers: list[Layer], c: int) -> nn.Module:
    """All convolutions, each with its norm, activation and pool: `conv1` to `conv<depth>`."""
    parts, stages = {}, layers[-1].stage + 1
    for k, layer in enumerate(layers, 1):
        at = build.at("body", role="plain", k=k, depth=len(layers), stage=layer.stage, stage_k=layer.stage_k)
        behind = "pool" if layer.pool or k == len(layers) else "weight"
        ahead = "input" if k == 1 else "pool" if layers[k - 2].pool else "activation"
        if k > 1:
            parts[f"before_conv{k}"] = at.bias(f"before_conv{k}", c, follows=ahead, precedes="weight")
        where = {"bias": design.conv_bias, "follows": ahead, "precedes": "norm"}
        parts[f"conv{k}"] = at.conv(f"conv{k}", c, layer.features, 3, stride=layer.stride, **where)
        parts[f"norm{k}"] = at.norm(f"norm{k}", layer.features, follows="weight", precedes="activation")
        parts[f"drop{k}"] = design.drop(build.dims, layer.stage, stages)
        parts |= activate(at, design, f"act{k}", layer.features, follows="norm", precedes=behind)
        # ceil_mode: the same on even sizes, and a map of 1x1 stays one
        parts[f"pool{k}"] = MAX_POOL[build.dims](2, ceil_mode=True) if layer.pool else None
        c = layer.features
    return chain(**parts)


def _imagenet_classifier(build: Builder, design: VGGDesign, c: int, hidden: int, num_classes: int) -> dict[str, nn.Module | None]:
    """7x7 positions, then linear, activation, dropout twice, then the last linear layer."""
    side = 7
    bias = build.bias("before_pool", c, role="head", follows="pool", precedes="pool")
    pool = ADAPTIVE_POOL[build.dims](side if build.dims == 2 else (1, side, side))
    parts = {"before_pool": bias, "pool": pool, "flatten": nn.Flatten()}
    c_in, ahead = c * side**2, "pool"
    for i, c_out in enumerate((hidden, hidden, num_classes), 1):
        where = {"layout": "NLC", "role": "head", "follows": ahead}
        parts[f"before_fc{i}"] = build.bias(f"before_fc{i}", c_in, **where, precedes="weight")
        parts[f"fc{i}"] = build.weight(f"fc{i}", nn.Linear(c_in, c_out), **where, precedes="activation" if i < 3 else "output")
        if i < 3:
            parts |= activate(build, design, f"act{i}", c_out, layout="NLC", role="head", follows="weight", precedes="weight")
            parts[f"drop{i}"] = nn.Dropout(design.dropout) if design.dropout else None
        c_in, ahead = c_out, "activation"
    return parts
