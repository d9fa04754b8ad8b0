"""Residual networks in 2D and 3D: ResNet (version 1 and 2), ResNeXt, wide and CIFAR ones, laid out as torchvision's.

Shapes: images (N, C, H, W), clips (N, C, T, H, W) -> class scores (N, num_classes).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

from normbench.core.errors import InputError
from normbench.hooks.builder import Builder, chain
from normbench.hooks.methods import Method
from normbench.models.blocks import EXPANSION, BlockDesign, Place, activate, residual_block
from normbench.models.design import MAX_POOL, arguments, classify, field_names, one_of, pool_all, whole, wholes

# depth -> kind of block, blocks per stage: arXiv:1512.03385, table 1; 200 is of arXiv:1603.05027.
DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
    200: ("bottleneck", (3, 24, 36, 3)),
}


@dataclass(frozen=True, kw_only=True)
class ResidualDesign(BlockDesign):
    """A whole residual network; see BlockDesign and Design for the other fields.

    layers: blocks of each stage. widths: channels of each stage (times 4 behind bottleneck blocks).
    stem_width: channels of the stem.
    stem: imagenet (7x7, stride 2, then a max pool; for clips 3x7x7, stride (1, 2, 2), no pool) or cifar (3x3).
    stem_norm: norm and activation after the stem's convolution; None: in version 1 only.
    final_norm: norm and activation after the last block; None: in version 2 only.
    head_norm: a norm directly in front of the pool.
    """

    layers: Sequence[int]
    widths: Sequence[int]
    stem_width: int
    stem: str
    stem_norm: bool | None = None
    final_norm: bool | None = None
    head_norm: bool = False

    @property
    def norms_end(self) -> bool:
        return self.version == 2 if self.final_norm is None else self.final_norm

    @property
    def first_of_block(self) -> str:
        return "weight" if self.version == 1 else "norm"

    @property
    def last_of_block(self) -> str:
        return "activation" if self.version == 1 and not self.activation_before_join else "join"

    @property
    def first_of_head(self) -> str:
        return "norm" if self.norms_end or self.head_norm else "pool"

    def check(self, family: str) -> None:
        super().check(family)
        one_of(family, "stem", self.stem, ("imagenet", "cifar"))
        one_of(family, "stem_norm", self.stem_norm, (None, True, False))
        one_of(family, "final_norm", self.final_norm, (None, True, False))
        whole(family, "stem_width", self.stem_width)
        wholes(family, "widths", self.widths)
        if len(self.widths) != len(self.layers):
            raise InputError(f"model {family}: widths must give {len(self.layers)} stages, got {self.widths!r}")
        if self.block == "bottleneck" and min(self.widths) * self.width_per_group < 64:
            raise InputError(
                f"model {family}: width x width_per_group must be at least 64, got {min(self.widths)} x {self.width_per_group}"
            )


def resnet(
    depth: int | None = None,
    *,
    method: Method,
    num_classes: int,
    params: Any = None,
    dims: int = 2,
    in_channels: int = 3,
    width: int | None = None,
    blocks: int | None = None,
    **design: Any,
) -> nn.Module:
    """A residual network.

    depth: 18, 34, 50, 101, 152, 200 (four stages) or 6n + 2 (three stages of n basic blocks: arXiv:1512.03385,
        section 4.2). In its place layers=[...] gives the blocks of each stage, with block="basic" or "bottleneck", and
        blocks those of a single stage: a chain of equal blocks, in which depth is all that changes.
    width: channels of the stem and of the first stage, doubled in each (widths and stem_width say otherwise).
        With four stages it starts at 64 and the stem is imagenet's, with fewer at 16 and the stem is cifar's.
    design: the fields of ResidualDesign. Raises InputError with one sentence for what cannot be built.
    """
    arguments("resnet", design, [*field_names(ResidualDesign), "depth", "width", "blocks"])
    if blocks is not None:
        whole("resnet", "blocks", blocks)
        design["layers"] = _only(blocks, design)
    design |= _implied(depth, design)
    stages = len(design["layers"])
    width = (64 if stages > 3 else 16) if width is None else width
    whole("resnet", "width", width)
    defaults = {"stem": "imagenet" if stages > 3 else "cifar", "widths": [width * 2**i for i in range(stages)]}
    chosen = ResidualDesign(**{**defaults, "stem_width": width, **design})
    return _network("resnet", chosen, method, params, num_classes, in_channels, dims)


def wide_resnet(
    depth: int,
    width: int = 1,
    *,
    method: Method,
    num_classes: int,
    params: Any = None,
    dims: int = 2,
    in_channels: int = 3,
    base_width: int = 16,
    **design: Any,
) -> nn.Module:
    """A wide residual network, arXiv:1605.07146: 6n + 4 layers, pre-activation, a 3x3 stem of base_width channels.

    Three stages of n basic blocks with base_width x width x (1, 2, 4) channels. design: the fields of ResidualDesign.
    """
    free = [name for name in field_names(ResidualDesign) if name not in ("layers", "widths")]
    arguments("wide_resnet", design, [*free, "depth", "width", "base_width"])
    for name, value in (("depth", depth), ("width", width), ("base_width", base_width)):
        whole("wide_resnet", name, value)
    if depth < 10 or depth % 6 != 4:
        nearest = " and ".join(map(str, _around(depth, 4, 10)))
        raise InputError(f"model wide_resnet: depth must be 6n + 4 with n from 1 up, got {depth}; the nearest: {nearest}")
    widths = [base_width * width * 2**i for i in range(3)]
    shape = {"layers": [(depth - 4) // 6] * 3, "widths": widths}
    chosen = ResidualDesign(**{"version": 2, "stem": "cifar", "stem_width": base_width, **shape, **design})
    return _network("wide_resnet", chosen, method, params, num_classes, in_channels, dims)


def _only(blocks: int, design: dict[str, Any]) -> tuple[int, ...]:
    if "layers" in design:
        raise InputError(f"model resnet: blocks goes without layers, got blocks {blocks!r} and layers {design['layers']!r}")
    return (blocks,)


def _implied(depth: int | None, design: dict[str, Any]) -> dict[str, Any]:
    """Layers and block, from the depth or as given."""
    layers = design.get("layers")
    if (depth is None) == (layers is None):
        raise InputError(f"model resnet: exactly one of depth and layers must be given, got depth {depth!r} and layers {layers!r}")
    if layers is not None:
        wholes("resnet", "layers", layers)
        return {"layers": layers}
    whole("resnet", "depth", depth)
    if depth not in DEPTHS and (depth % 6 != 2 or depth < 8):
        known, near = ", ".join(map(str, DEPTHS)), min([*DEPTHS, *_around(depth, 2, 8)], key=lambda d: abs(d - depth))
        raise InputError(f"model resnet: depth must be {known} or 6n + 2, got {depth}; the nearest: {near}")
    block, counts = DEPTHS.get(depth) or ("basic", ((depth - 2) // 6,) * 3)
    if design.get("block", block) != block:
        raise InputError(f"model resnet: depth {depth} has {block} blocks, got block {design['block']!r}; give layers in place of depth")
    return {"layers": counts, "block": block}


def _around(depth: int, rest: int, least: int) -> list[int]:
    """The numbers 6n + rest next to `depth`, none below `least`."""
    below = depth - (depth - rest) % 6
    return [d for d in (below, below + 6) if d >= least] or [least]


def _network(family: str, design: ResidualDesign, method: Method, params: Any, num_classes: int, in_channels: int, dims: int) -> nn.Module:
    design.check(family)
    whole(family, "num_classes", num_classes)
    whole(family, "in_channels", in_channels)
    build = design.builder(family, method, params, dims)
    stem, follows = _stem(build, design, in_channels)
    stages, follows, c = _stages(build, design, follows)
    head, follows = _head(build, design, c, follows)
    ending = pool_all(build, c, follows) | classify(build, "fc", c, num_classes, design.drop_fc)
    return build.finish(chain(stem=stem, **stages, head=head, **ending))


def _stem(build: Builder, design: ResidualDesign, in_channels: int) -> tuple[nn.Module, str]:
    """The stem, and the kind of its last layer."""
    build, width, dims = build.at("stem", role="stem"), design.stem_width, build.dims
    pools = design.stem == "imagenet" and dims == 2
    kernel, stride = ((7, 2) if dims == 2 else ((3, 7, 7), (1, 2, 2))) if design.stem == "imagenet" else (3, 1)
    normed = design.version == 1 if design.stem_norm is None else design.stem_norm
    behind = "pool" if pools else design.first_of_block
    where = {"follows": "input", "precedes": "norm" if normed else behind}
    parts = {"conv": build.conv("conv", in_channels, width, kernel, stride=stride, bias=design.conv_bias, **where)}
    if normed:
        parts["norm"] = build.norm("norm", width, follows="weight", precedes="activation")
        parts |= activate(build, design, "act", width, follows="norm", precedes=behind)
    if pools:
        parts["pool"] = MAX_POOL[dims](3, stride=2, padding=1)
    return chain(**parts), "pool" if pools else "activation" if normed else "weight"


def _stages(build: Builder, design: ResidualDesign, follows: str) -> tuple[dict[str, nn.Module], str, int]:
    """The stages by name, the kind of the last block's last layer, and its channels."""
    stages, depth, k, c = {}, sum(design.layers), 0, design.stem_width
    for stage, (width, count) in enumerate(zip(design.widths, design.layers, strict=True)):
        blocks, drop = [], partial(design.drop, build.dims, stage, len(design.layers))
        for i in range(count):
            k += 1
            behind = design.first_of_block if k < depth else design.first_of_head
            stride = 2 if stage and i == 0 else 1
            place = Place(c, width, stride, follows, behind, drop)
            blocks.append(residual_block(build, f"layer{stage + 1}.{i}", design, place, k=k, depth=depth, stage=stage, stage_k=i + 1))
            c, follows = width * EXPANSION[design.block], design.last_of_block
        stages[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    return stages, follows, c


def _head(build: Builder, design: ResidualDesign, c: int, follows: str) -> tuple[nn.Module | None, str]:
    """What stands between the last block and the pool, and the kind of its last layer."""
    build, parts = build.at("head", role="head"), {}
    if design.norms_end:
        parts["norm"] = build.norm("norm", c, follows=follows, precedes="activation")
        parts |= activate(build, design, "act", c, follows="norm", precedes="norm" if design.head_norm else "pool")
        follows = "activation"
    if design.head_norm:
        parts["pool_norm"], follows = build.norm("pool_norm", c, follows=follows, precedes="pool"), "norm"
    return (chain(**parts) if parts else None), follows
