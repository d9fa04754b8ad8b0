"""Networks of clips (N, 3, T, H, W) -> class scores (N, num_classes): the library's in three dimensions, and slow_resnet.

slow_resnet is the slow pathway of SlowFast (Feichtenhofer et al., arXiv:1812.03982, table 1; SLOW_8x8_R50.yaml and
video_model_builder.py of github.com/facebookresearch/SlowFast): the frames stay as many as they are, strides act in space
only, and only the first convolution of a block sees several frames, in the stages that `temporal` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from normbench.core.errors import InputError, unknown
from normbench.hooks.builder import Builder, chain
from normbench.hooks.methods import Method
from normbench.models import build_model
from normbench.models.blocks import EXPANSION, BlockDesign, Place, activate, residual_block
from normbench.models.design import MAX_POOL, arguments, classify, field_names, pool_all, whole, wholes
from normbench.models.resnet import DEPTHS

FAMILY = "slow_resnet"


@dataclass(frozen=True, kw_only=True)
class SlowDesign(BlockDesign):
    """Blocks whose convolutions are flat but for the first, which sees `length` frames."""

    length: int = 1

    def branch(self, width: int, stride: int) -> list[tuple]:
        convs = enumerate(super().branch(width, stride))
        return [((1 if i else self.length, side, side), c, step, groups) for i, (side, c, step, groups) in convs]


def build(
    spec: Mapping[str, Any], method: Method, params: Any, *, num_classes: int, frames: int, crop: int, drop_fc: float = 0.0
) -> nn.Module:
    """The network that a task.yaml describes, for clips of `frames` x `crop` x `crop`."""
    given = dict(spec) | ({"drop_fc": drop_fc} if drop_fc else {})
    if given.get("family") != FAMILY:
        return build_model(given, method, params, num_classes=num_classes, in_shape=(3, frames, crop, crop))
    del given["family"]
    return slow_resnet(**given, method=method, params=params, num_classes=num_classes)


def slow_resnet(
    depth: int | None = None,
    *,
    method: Method,
    num_classes: int,
    params: Any = None,
    temporal: Sequence[int] = (1, 1, 3, 3),
    stem_temporal: int = 1,
    width: int = 64,
    layers: Sequence[int] | None = None,
    **design: Any,
) -> nn.Module:
    """A residual network of version 1.

    depth: of normbench.models.resnet.DEPTHS; in its place layers=[...] gives the blocks of each stage, with block=.
    temporal: frames that the first convolution of a block sees, per stage; stem_temporal: those that the stem sees.
    width: channels of the stem and the first stage. design: the fields of BlockDesign. Raises InputError for what cannot be built.
    """
    free = [name for name in field_names(BlockDesign) if name != "version"]
    arguments(FAMILY, design, [*free, "depth", "layers", "temporal", "stem_temporal", "width"])
    if (depth is None) == (layers is None):
        raise InputError(f"model {FAMILY}: exactly one of depth and layers must be given, got depth {depth!r} and layers {layers!r}")
    if layers is None:
        if depth not in DEPTHS:
            raise unknown(f"model {FAMILY}: depth", "depth that exists", depth, DEPTHS)
        design["block"], layers = DEPTHS[depth]
    for key, values in (("layers", layers), ("temporal", temporal)):
        wholes(FAMILY, key, values)
    for key, value in (("width", width), ("stem_temporal", stem_temporal), ("num_classes", num_classes)):
        whole(FAMILY, key, value)
    if len(temporal) != len(layers) or any(length % 2 == 0 for length in (*temporal, stem_temporal)):
        raise InputError(
            f"model {FAMILY}: temporal must give an odd number of frames for each of {len(layers)} stages, got {list(temporal)}"
        )
    chosen = SlowDesign(**design)
    chosen.check(FAMILY)
    if chosen.shortcut == "pad":
        raise InputError(f"model {FAMILY}: shortcut 'pad' would leave frames out; conv1x1, conv3x3 and avgpool_conv1x1 are what there is")
    build = chosen.builder(FAMILY, method, params, 3)
    stem = _stem(build.at("stem", role="stem"), chosen, width, stem_temporal)
    stages, c = _stages(build, chosen, width, layers, temporal)
    ending = pool_all(build, c, _last(chosen)) | classify(build, "fc", c, num_classes, chosen.drop_fc)
    return build.finish(chain(stem=stem, **stages, **ending))


def _stem(build: Builder, design: SlowDesign, width: int, length: int) -> nn.Module:
    conv = build.conv("conv", 3, width, (length, 7, 7), stride=(1, 2, 2), bias=design.conv_bias, follows="input", precedes="norm")
    norm = build.norm("norm", width, follows="weight", precedes="activation")
    active = activate(build, design, "act", width, follows="norm", precedes="pool")
    return chain(conv=conv, norm=norm, **active, pool=MAX_POOL[3]((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)))


def _stages(build: Builder, design: SlowDesign, width: int, layers: Sequence[int], temporal: Sequence[int]) -> tuple[dict, int]:
    """The stages by name, and the channels behind the last."""
    stages, k, c, follows = {}, 0, width, "pool"
    for stage, (count, length) in enumerate(zip(layers, temporal, strict=True)):
        blocks, of_stage = [], replace(design, length=length)
        for i in range(count):
            k += 1
            behind = "pool" if k == sum(layers) else "weight"
            stride = (1, 2, 2) if stage and i == 0 else 1
            place = Place(c, width * 2**stage, stride, follows, behind, lambda stage=stage: design.drop(3, stage, len(layers)))
            where = {"k": k, "depth": sum(layers), "stage": stage, "stage_k": i + 1}
            blocks.append(residual_block(build, f"layer{stage + 1}.{i}", of_stage, place, **where))
            c, follows = width * 2**stage * EXPANSION[design.block], _last(design)
        stages[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    return stages, c


def _last(design: SlowDesign) -> str:
    return "join" if design.activation_before_join else "activation"
