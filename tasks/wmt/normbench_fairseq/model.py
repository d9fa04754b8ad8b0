"""fairseq's transformer, whole, in whose layers a method then takes its places (norm_sites.py)."""

import json
from argparse import Namespace

from fairseq.models import register_model, register_model_architecture
from fairseq.models.transformer import (
    TransformerConfig,
    TransformerDecoderBase,
    TransformerEncoderBase,
    TransformerModel,
    base_architecture,
)
from fairseq.modules import transformer_layer
from torch import Tensor, nn

from normbench import load_method
from normbench.hooks.builder import Builder

from .norm_sites import take_places
from .words import Words

NAME = "normbench_transformer"


class Joins:
    """A layer whose residual sums are `joins`, modules (skip, branch) -> sum in the order in which the layer comes to them."""

    joins: nn.ModuleList

    def forward(self, *args, **kwargs):
        self._coming = iter(self.joins)
        return super().forward(*args, **kwargs)

    def residual_connection(self, x: Tensor, residual: Tensor) -> Tensor:
        return next(self._coming)(residual, x)


class EncoderLayer(Joins, transformer_layer.TransformerEncoderLayerBase):
    pass


class DecoderLayer(Joins, transformer_layer.TransformerDecoderLayerBase):
    pass


class Encoder(TransformerEncoderBase):
    def __init__(self, cfg, dictionary, embed_tokens):
        self.words = Words()
        super().__init__(cfg, dictionary, embed_tokens)

    def build_encoder_layer(self, cfg):
        return EncoderLayer(cfg)

    def forward(self, src_tokens, *args, **kwargs):
        self.words.note(src_tokens.eq(self.padding_idx))
        return super().forward(src_tokens, *args, **kwargs)


class Decoder(TransformerDecoderBase):
    """words: of the target; source: of the encoder's output, which cross-attention reads."""

    def __init__(self, cfg, dictionary, embed_tokens):
        self.words, self.source = Words(), Words()
        super().__init__(cfg, dictionary, embed_tokens)

    def build_decoder_layer(self, cfg, no_encoder_attn=False):
        return DecoderLayer(cfg, no_encoder_attn)

    def extract_features(self, prev_output_tokens, encoder_out=None, incremental_state=None, *args, **kwargs):
        growing = incremental_state is not None  # one word at a time, and there is no padding
        self.words.note(None if growing else prev_output_tokens.eq(self.padding_idx))
        masks = encoder_out["encoder_padding_mask"] if encoder_out else []
        self.source.note(masks[0] if masks else None)
        return super().extract_features(prev_output_tokens, encoder_out, incremental_state, *args, **kwargs)


@register_model(NAME)
class MethodTransformer(TransformerModel):
    """fairseq's transformer with a method; carries sites, method and method_params like every model of the suite."""

    @classmethod
    def add_args(cls, parser):
        super().add_args(parser)
        parser.add_argument("--method", required=True, help="the name of a file in methods/")
        parser.add_argument("--method-params", default="{}", help="its parameters, as JSON")

    @classmethod
    def build_model(cls, args: Namespace, task):
        model = super().build_model(args, task)
        method = load_method(args.method)
        build = Builder(method, method.params(**json.loads(args.method_params)), dims=1)
        take_places(model, build)
        return build.finish(model)

    @classmethod
    def build_encoder(cls, args, src_dict, embed_tokens):
        return Encoder(TransformerConfig.from_namespace(args), src_dict, embed_tokens)

    @classmethod
    def build_decoder(cls, args, tgt_dict, embed_tokens):
        return Decoder(TransformerConfig.from_namespace(args), tgt_dict, embed_tokens)


register_model_architecture(NAME, NAME)(base_architecture)
