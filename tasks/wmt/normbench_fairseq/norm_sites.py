"""The sites of fairseq's transformer, and how what a method puts there takes the place of fairseq's own.

Every residual sum is a block: k counts them through the encoder (self-attention, feed-forward of each layer) and on through the
decoder (self-attention, cross-attention, feed-forward) to L, as the released code of Fixup does. An attention has four weight
layers (query, key, value, output), a feed-forward two. Pre-norm blocks are of version 2, post-norm ones of version 1.
A projection that shares its weight with the embeddings is no site: what a method did to it would befall the embeddings.
"""

from dataclasses import dataclass

import torch
from torch import nn

from normbench.hooks.builder import Builder, Refused, chain

from .words import OverWords, Words, reach

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class Block:
    """One residual sum: the builder of its sites, the layer it is in, the layer's name of its norm, whose words it reads."""

    build: Builder
    layer: nn.Module
    norm: str
    words: Words
    norm_first: bool
    comes_first: bool  # in its stack

    def before(self) -> str:
        """What stands in front of the branch."""
        if self.norm_first:
            return "norm"
        return "input" if self.comes_first else "norm"


def take_places(model: nn.Module, build: Builder) -> None:
    """Give every site of `model`, fairseq's own, to the method of `build`."""
    encoder, decoder = model.encoder, model.decoder
    depth = 2 * len(encoder.layers) + 3 * len(decoder.layers)
    k = _stack(build.at("encoder"), encoder, ("self_attn", "feedforward"), 1, depth, {"self_attn": encoder.words})
    around = {"self_attn": decoder.words, "encoder_attn": decoder.source}
    _stack(build.at("decoder"), decoder, ("self_attn", "encoder_attn", "feedforward"), k, depth, around)
    if decoder.output_projection.weight is not decoder.embed_tokens.weight:
        head = build.at("decoder", role="head")
        follows = "norm" if decoder.layer_norm is not None else "join"
        decoder.output_projection = head.weight("output_projection", decoder.output_projection, follows=follows, precedes="output")


def _stack(build: Builder, stack: nn.Module, parts: tuple[str, ...], k: int, depth: int, keys: dict[str, Words]) -> int:
    """Encoder or decoder; returns the number of the block behind it. keys: whose words an attention's keys are."""
    if stack.layernorm_embedding is not None:
        stem, width = build.at("embedding", role="stem"), stack.embed_tokens.embedding_dim
        stack.layernorm_embedding = _norm(stem, "layernorm", width, stack.words, True, follows="input", precedes="weight")
    for i, layer in enumerate(stack.layers):
        layer.joins = nn.ModuleList()
        for part in parts:
            version = 2 if layer.normalize_before else 1
            length = 2 if part == "feedforward" else len(PROJECTIONS)
            at = build.at(f"layers.{i}.{part}", role="branch", k=k, depth=depth, length=length, version=version, stage=0, stage_k=k)
            name = "final_layer_norm" if part == "feedforward" else f"{part}_layer_norm"
            block = Block(at, layer, name, stack.words, layer.normalize_before, i == 0 and part == parts[0])
            _block(block, part, keys)
            k += 1
    if stack.layer_norm is not None:
        head, width = build.at("head", role="head", version=2), stack.embed_tokens.embedding_dim
        stack.layer_norm = _norm(head, "layer_norm", width, stack.words, follows="join", precedes="weight")
    return k


def _block(block: Block, part: str, keys: dict[str, Words]) -> None:
    width = block.layer.embed_dim
    if block.norm_first:
        where = {"position": 0, "follows": "input" if block.comes_first else "join", "precedes": "weight"}
        setattr(block.layer, block.norm, _norm(block.build, "norm", width, block.words, **where))
    if part == "feedforward":
        _feedforward(block)
    else:
        _attention(block, getattr(block.layer, part), keys[part])
    block.layer.joins.append(block.build.join("join", width))
    if not block.norm_first:
        setattr(block.layer, block.norm, _norm(block.build, "norm", width, block.words, follows="join", precedes="weight"))


def _attention(block: Block, attention: nn.Module, keys: Words) -> None:
    for position, name in enumerate(PROJECTIONS):
        of_encoder = attention.encoder_decoder_attention and name in ("k_proj", "v_proj")  # whose output ends in a norm
        follows = "weight" if name == "out_proj" else "norm" if of_encoder else block.before()
        words = keys if name in ("k_proj", "v_proj") else block.words
        where = {"position": position, "follows": follows}
        precedes = "join" if name == "out_proj" else "weight"
        setattr(attention, name, _layer(block.build, name, getattr(attention, name), words, precedes, where))
    projections = [getattr(attention, name) for name in PROJECTIONS]
    if any(type(layer) is not nn.Linear or layer.bias is None for layer in projections):
        # fairseq hands plain weights and biases to torch's attention; where a layer is more than these it has to be called.
        attention._set_skip_embed_dim_check()


def _feedforward(block: Block) -> None:
    layer, build, words = block.layer, block.build, block.words
    inner = layer.fc1.out_features
    layer.fc1 = _layer(build, "fc1", layer.fc1, words, "activation", {"position": 0, "follows": block.before()})
    where = {"position": 0, "follows": "weight"}
    bias = _stand(build, build.bias("activation_bias", inner, precedes="activation", **where), words)
    act = ACTIVATIONS[layer.activation_fn.__name__]()
    act = _stand(build, build.activation("activation", inner, act, precedes="weight", **where), words)
    layer.activation_fn = act if bias is None else chain(bias=bias, act=act)
    layer.fc2 = _layer(build, "fc2", layer.fc2, words, "join", {"position": 1, "follows": "activation"})


def _layer(build: Builder, name: str, linear: nn.Linear, words: Words, precedes: str, where: dict) -> nn.Module:
    """A linear layer and, in front of it, the method's bias."""
    bias = _stand(build, build.bias(f"{name}_bias", linear.in_features, precedes="weight", **where), words)
    linear = build.weight(name, linear, precedes=precedes, **where)
    return linear if bias is None else chain(bias=bias, linear=linear)


def _norm(build: Builder, name: str, width: int, words: Words, batch_first: bool = False, **where) -> nn.Module:
    """What stands at a norm site; where nothing does, fairseq wants something that does nothing."""
    module = _stand(build, build.norm(name, width, **where), words, batch_first)
    return nn.Identity() if module is None else module


def _stand(build: Builder, module: nn.Module | None, words: Words, batch_first: bool = False) -> nn.Module | None:
    """`module` as it can stand among padded sentences; raises Refused where it cannot."""
    placed = build.sites[-1]
    if module is None or not placed.changed:
        return module
    site = placed.site
    over = _reach_at(build, site)
    if over == "sentence":
        raise Refused(
            f"{build.method.short} cannot stand at {site.name} ({site.kind}, {site.features} features): its statistics go over "
            "the words of a sentence, and a decoder must not see the words that it is to predict"
        )
    return OverWords(module, words, batch_first) if over == "batch" else module


def _reach_at(build: Builder, site) -> str:
    """What the statistics of the method's module at `site` go over; asked of another one, in the memory of this machine."""
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        hook = getattr(build.method, site.kind)
        act = (nn.ReLU(),) if site.kind == "activation" else ()
        return reach(hook(site, build.params, *act), site.features)
