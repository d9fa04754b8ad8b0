"""A pre-norm transformer encoder, written against the Builder (NLC): tokens (N, L, C) -> class scores (N, num_classes).

Each layer is two residual blocks, attention and feed-forward (Xiong et al., arXiv:2002.04745). With layer norm and no head it
is torch's nn.TransformerEncoderLayer(norm_first=True, batch_first=True, dropout=0), value for value.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from normbench.core.errors import InputError
from normbench.hooks.builder import Builder, chain
from normbench.hooks.methods import Method
from normbench.models.design import ACTIVATIONS, one_of, whole

FAMILY = "transformer"


class Attention(nn.Module):
    """Self-attention between two linear layers: queries, keys and values (N, L, 3 C) side by side -> (N, L, C)."""

    def __init__(self, heads: int):
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        q, k, v = x.view(n, length, 3, self.heads, channels // (3 * self.heads)).permute(2, 0, 3, 1, 4)  # each (N, heads, L, C / heads)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, -1)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"


class Residual(nn.Module):
    """join(x, branch(x)), x (N, L, C); the norm stands first in the branch."""

    def __init__(self, branch: nn.Module, join: nn.Module):
        super().__init__()
        self.branch, self.join = branch, join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(x, self.branch(x))


class TokenMean(nn.Module):
    """(N, L, C) -> (N, C): the mean over tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def transformer(
    *,
    method: Method,
    params: Any = None,
    num_classes: int,
    width: int = 256,
    depth: int = 1,
    heads: int = 4,
    expansion: int = 4,
    activation: str = "relu",
) -> nn.Module:
    """The network, with `.sites`, `.method` and `.method_params`. Its joins are numbered k = 1 .. 2 depth.

    width: C, channels of a token. depth: encoder layers. heads: of the attention, which share the width.
    expansion: channels inside a feed-forward block, in widths.
    activation: relu, elu, selu or gelu; relu is torch's default, and what some methods are derived for.
    """
    for key, value in (("width", width), ("depth", depth), ("heads", heads), ("expansion", expansion)):
        whole(FAMILY, key, value)
    one_of(FAMILY, "activation", activation, ACTIVATIONS)
    if width % heads:
        raise InputError(f"model {FAMILY}: {heads} heads cannot share a width of {width}")
    build = Builder(method, params, dims=1)
    layers = {}
    for i in range(depth):
        layers[f"layer{i + 1}"] = chain(
            attention=_attention(build, f"layer{i + 1}.attention", 2 * i + 1, 2 * depth, width, heads),
            feedforward=_feedforward(build, f"layer{i + 1}.feedforward", 2 * i + 2, 2 * depth, width, expansion, ACTIVATIONS[activation]()),
        )
    head = build.at("head", role="head")
    return build.finish(
        chain(
            **layers,
            norm=head.norm("norm", width, version=2, follows="join", precedes="pool"),
            pool=TokenMean(),
            fc=head.weight("fc", nn.Linear(width, num_classes), follows="pool", precedes="output"),
        )
    )


def _block(build: Builder, name: str, k: int, depth: int) -> Builder:
    """A builder for block k of depth: both have two weight layers, and none changes the width."""
    return build.at(name, role="branch", k=k, depth=depth, stage=0, stage_k=k, version=2, length=2)


def _before(k: int) -> str:
    return "input" if k == 1 else "join"


def _attention(build: Builder, name: str, k: int, depth: int, width: int, heads: int) -> Residual:
    build = _block(build, name, k, depth)
    branch = chain(
        norm=build.norm("norm", width, position=0, follows=_before(k), precedes="weight"),
        in_proj=build.weight("in_proj", nn.Linear(width, 3 * width), position=0, follows="norm", precedes="weight"),
        attend=Attention(heads),
        out_proj=build.weight("out_proj", nn.Linear(width, width), position=1, follows="weight", precedes="join"),
    )
    return Residual(branch, build.join("join", width))


def _feedforward(build: Builder, name: str, k: int, depth: int, width: int, expansion: int, act: nn.Module) -> Residual:
    build, inner = _block(build, name, k, depth), expansion * width
    branch = chain(
        norm=build.norm("norm", width, position=0, follows=_before(k), precedes="weight"),
        linear1=build.weight("linear1", nn.Linear(width, inner), position=0, follows="norm", precedes="activation"),
        act=build.activation("act", inner, act, position=0, follows="weight", precedes="weight"),
        linear2=build.weight("linear2", nn.Linear(inner, width), position=1, follows="activation", precedes="join"),
    )
    return Residual(branch, build.join("join", width))
