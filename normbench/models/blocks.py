"""Residual blocks, version 1 (He et al., arXiv:1512.03385) and 2 (pre-activation, arXiv:1603.05027), in 2D and 3D."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from normbench.core.errors import InputError
from normbench.hooks.builder import Builder, chain
from normbench.models.design import AVG_POOL, Design, one_of, whole

EXPANSION = {"basic": 1, "bottleneck": 4}
SHORTCUTS = ("conv1x1", "conv3x3", "avgpool_conv1x1", "pad")


@dataclass(frozen=True, kw_only=True)
class BlockDesign(Design):
    """What the blocks of one network share.

    block: basic (two 3x3 convolutions) or bottleneck (1x1, 3x3, 1x1).
    version: 1 activates after the join, 2 before the branch.
    groups, width_per_group: of the 3x3 convolution of a bottleneck (ResNeXt, arXiv:1611.05431).
    shortcut: where size or width change: conv1x1; conv3x3; avgpool_conv1x1 (the pool takes the stride:
        RescaleNet's); pad (strided, new channels zero, no weights: option A of arXiv:1512.03385).
    stride_first: a bottleneck's stride stands in its first 1x1 convolution and not in its 3x3.
    activation_before_join: version 1 only; the branch ends in the activation, and nothing follows the join
        (the weight norm networks of Beyond BatchNorm).
    """

    block: str = "basic"
    version: int = 1
    groups: int = 1
    width_per_group: int = 64
    shortcut: str = "conv1x1"
    stride_first: bool = False
    activation_before_join: bool = False

    def check(self, family: str) -> None:
        super().check(family)
        one_of(family, "block", self.block, EXPANSION)
        one_of(family, "version", self.version, (1, 2))
        one_of(family, "shortcut", self.shortcut, SHORTCUTS)
        whole(family, "groups", self.groups)
        whole(family, "width_per_group", self.width_per_group)
        if self.block == "basic" and (self.groups, self.width_per_group, self.stride_first) != (1, 64, False):
            raise InputError(f"model {family}: groups, width_per_group and stride_first go with bottleneck blocks, not with basic ones")
        if self.version == 2 and self.activation_before_join:
            raise InputError(f"model {family}: activation_before_join goes with version 1, not with version 2")

    def branch(self, width: int, stride: int) -> list[tuple[int, int, int, int]]:
        """(kernel, output channels, stride, groups) of each convolution in the branch of a block."""
        if self.block == "basic":
            return [(3, width, stride, 1), (3, width, 1, 1)]
        inner = width * self.width_per_group // 64 * self.groups
        first, second = (stride, 1) if self.stride_first else (1, stride)
        return [(1, inner, first, 1), (3, inner, second, self.groups), (1, 4 * width, 1, 1)]


class Place(NamedTuple):
    """Where one block stands: c_in -> width x expansion channels, at `stride`.

    follows, precedes: the neighbors of the whole block. drop: makes what follows each convolution.
    """

    c_in: int
    width: int
    stride: int
    follows: str
    precedes: str
    drop: Callable[[], nn.Module | None]


class Block(nn.Module):
    """Version 1: after(join(shortcut(x), branch(x)))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module | None, join: nn.Module, after: nn.Module | None):
        super().__init__()
        self.branch, self.shortcut, self.join, self.after = branch, shortcut, join, after

    def forward(self, x: Tensor) -> Tensor:
        skip = x if self.shortcut is None else self.shortcut(x)
        x = self.join(skip, self.branch(x))
        return x if self.after is None else self.after(x)


class PreactivationBlock(nn.Module):
    """Version 2: join(skip, branch(before(x))); a projection takes before(x), any other skip takes x."""

    def __init__(self, before: nn.Module, branch: nn.Module, shortcut: nn.Module | None, join: nn.Module, projects: bool):
        super().__init__()
        self.before, self.branch, self.shortcut, self.join, self.projects = before, branch, shortcut, join, projects

    def forward(self, x: Tensor) -> Tensor:
        active = self.before(x)
        if self.shortcut is not None:
            x = self.shortcut(active if self.projects else x)
        return self.join(x, self.branch(active))


class Pad(nn.Module):
    """(N, C, ...) -> (N, C + added, ...): every stride-th position, and channels of zeros at the end."""

    def __init__(self, added: int, stride: int, dims: int):
        super().__init__()
        self.index = (slice(None), slice(None), *(slice(None, None, stride),) * dims)
        self.padding = (0, 0) * dims + (0, added)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[self.index], self.padding)


def residual_block(build: Builder, name: str, design: BlockDesign, place: Place, **where) -> nn.Module:
    """The block `name`; `where` (k, depth, stage, stage_k) is shared by its sites."""
    convs = design.branch(place.width, place.stride)
    projects = _changes(place, convs) and design.shortcut != "pad"
    build = build.at(name, role="branch", version=design.version, transition=projects, length=len(convs), **where)
    make = _version_1 if design.version == 1 else _version_2
    return make(build, design, place, convs)


def _changes(place: Place, convs: list) -> bool:
    return place.stride != 1 or place.c_in != convs[-1][1]


def _version_1(build: Builder, design: BlockDesign, place: Place, convs: list) -> Block:
    early = design.activation_before_join
    parts, c, ahead = {}, place.c_in, place.follows
    for i, conv in enumerate(convs):
        last = i == len(convs) - 1
        parts |= _conv(build, design, i, c, conv, follows=ahead, precedes="norm")
        c, ahead = conv[1], "activation"
        behind = "join" if last and not early else "activation"
        parts[f"norm{i + 1}"] = build.norm(f"norm{i + 1}", c, position=i, follows="weight", precedes=behind)
        parts[f"drop{i + 1}"] = place.drop()
        if not last or early:
            behind = "join" if last else "weight"
            parts |= activate(build, design, f"act{i + 1}", c, position=i, follows="norm", precedes=behind)
    shortcut = _shortcut(build, design, place, c, follows=place.follows) if _changes(place, convs) else None
    if early:
        return Block(chain(**parts), shortcut, build.join("join", c, follows="activation", precedes=place.precedes), None)
    join = build.join("join", c, follows="norm", precedes="activation")
    after = chain(**activate(build, design, "act", c, follows="join", precedes=place.precedes))
    return Block(chain(**parts), shortcut, join, after)


def _version_2(build: Builder, design: BlockDesign, place: Place, convs: list) -> PreactivationBlock:
    before, branch, c, ahead = {}, {}, place.c_in, place.follows
    for i, conv in enumerate(convs):
        parts = branch if i else before
        parts[f"norm{i + 1}"] = build.norm(f"norm{i + 1}", c, position=i, follows=ahead, precedes="activation")
        parts |= activate(build, design, f"act{i + 1}", c, position=i, follows="norm", precedes="weight")
        behind = "join" if i == len(convs) - 1 else "norm"
        branch |= _conv(build, design, i, c, conv, follows="activation", precedes=behind)
        branch[f"drop{i + 1}"] = place.drop()
        c, ahead = conv[1], "weight"
    shortcut = _shortcut(build, design, place, c, follows="activation") if _changes(place, convs) else None
    join = build.join("join", c, follows="weight", precedes=place.precedes)
    return PreactivationBlock(chain(**before), chain(**branch), shortcut, join, projects=design.shortcut != "pad")


def _conv(build: Builder, design: BlockDesign, i: int, c_in: int, conv: tuple, **neighbors) -> dict[str, nn.Module | None]:
    """Convolution i of the branch and the bias in front of it, by name."""
    name, (kernel, c_out, stride, groups) = f"conv{i + 1}", conv
    bias = build.bias(f"before_{name}", c_in, position=i, follows=neighbors["follows"], precedes="weight")
    layer = build.conv(name, c_in, c_out, kernel, stride=stride, groups=groups, bias=design.conv_bias, position=i, **neighbors)
    return {f"before_{name}": bias, name: layer}


def activate(build: Builder, design: Design, name: str, features: int, **where) -> dict[str, nn.Module | None]:
    """An activation and the bias in front of it, by name."""
    bias = build.bias(f"before_{name}", features, **{**where, "precedes": "activation"})
    return {f"before_{name}": bias, name: build.activation(name, features, design.act(), **where)}


def _shortcut(build: Builder, design: BlockDesign, place: Place, c_out: int, *, follows: str) -> nn.Module:
    stride, pool = place.stride, None
    if design.shortcut == "pad":
        return Pad(c_out - place.c_in, stride, build.dims)
    if design.shortcut == "avgpool_conv1x1" and stride != 1:
        # ceil_mode: as many positions as a strided convolution gives, on odd sizes too
        pool, stride, follows = AVG_POOL[build.dims](stride, ceil_mode=True), 1, "pool"
    build = build.at("shortcut", role="shortcut", position=0, length=1)
    bias = build.bias("before_conv", place.c_in, follows=follows, precedes="weight")
    behind = "norm" if design.version == 1 else "join"
    kernel = 3 if design.shortcut == "conv3x3" else 1
    conv = build.conv("conv", place.c_in, c_out, kernel, stride=stride, bias=design.conv_bias, follows=follows, precedes=behind)
    norm = build.norm("norm", c_out, follows="weight", precedes="join") if design.version == 1 else None
    return chain(pool=pool, before_conv=bias, conv=conv, norm=norm)
