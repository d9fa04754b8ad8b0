"""fairseq's transformer with a method in it: fairseq's own where the method is layer norm, its sites, padding, and who cannot stand."""

import copy
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normbench import load_method
from normbench.config.recipe import Recipe
from normbench.core.schema import ROOT
from normbench.hooks.builder import Refused
from normbench.hooks.methods import method_names
from normbench.hooks.residual import ScaledSum
from normbench.hooks.sites import Site
from normbench.training.optimizer import make_optimizer
from tasks.wmt import adapter
from tests.wmt_samples import WIDTH, an_arm, batch, build

import normbench_fairseq.words as words_module  # isort: skip  (the task imports it by fairseq's own way)
from normbench_fairseq.optimizer import MethodAdam, mark_groups  # isort: skip
from normbench_fairseq.task import Inputs  # isort: skip
from normbench_fairseq.words import OverWords, reach  # isort: skip

SETTINGS = [
    {},
    {"norm_first": True},
    {"share_embeddings": "none", "norm_embedding": True},
    {"norm_first": True, "share_embeddings": "decoder", "activation": "gelu"},
]
GROUPS = {"group_norm": {"num_groups": 4}}


@cache
def standing() -> list[str]:
    """Methods that do not refuse."""
    return [name for name in method_names() if _stands(name)]


def _stands(name: str) -> bool:
    try:
        with torch.device("meta"):
            build(name, GROUPS.get(name), norm_first=True)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("settings", SETTINGS, ids=["post-norm", "pre-norm", "embedding norm", "gelu"])
def test_with_layer_norm_it_is_fairseqs_transformer_bit_for_bit(settings):
    ours, theirs = build(dropout=0.1, **settings), build(plain=True, dropout=0.1, **settings)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))
    results = []
    for model in (ours, theirs):
        torch.manual_seed(1)
        out = model.train()(**batch())[0]
        out.square().mean().backward()
        results.append((out, [p.grad for p in model.parameters()]))
    (mine, my_gradients), (their, their_gradients) = results
    assert torch.equal(mine, their)
    assert all(torch.equal(a, b) for a, b in zip(my_gradients, their_gradients, strict=True))


def test_blocks_are_counted_through_encoder_and_decoder():
    model = build(layers=[2, 3], norm_first=True, share_embeddings="none", norm_embedding=True)
    joins = [p.site for p in model.sites if p.site.kind == "join"]
    assert [s.k for s in joins] == list(range(1, 14)) and {s.depth for s in joins} == {2 * 2 + 3 * 3}
    parts = [s.name.split(".")[-2] for s in joins]
    assert parts == 2 * ["self_attn", "feedforward"] + 3 * ["self_attn", "encoder_attn", "feedforward"]
    norms = [p.site for p in model.sites if p.site.kind == "norm"]
    assert len(norms) == 13 + 2 + 2 and [s.role for s in norms].count("stem") == 2 and [s.role for s in norms].count("head") == 2
    assert len({p.site.name for p in model.sites}) == len(model.sites)
    weights = [p.site for p in model.sites if p.site.kind == "weight"]
    assert len(weights) == 2 * (4 + 2) + 3 * (4 + 4 + 2) + 1
    assert [(s.position, s.length) for s in weights[:6]] == [(0, 4), (1, 4), (2, 4), (3, 4), (0, 2), (1, 2)]
    assert (weights[-1].role, weights[-1].precedes) == ("head", "output")


def test_every_norm_is_the_methods_and_none_is_left_of_fairseqs():
    model = build("rms_norm", norm_first=True, norm_embedding=True)
    kinds = {type(m) for m in model.modules()}
    assert nn.LayerNorm not in kinds
    assert not any(isinstance(m, nn.LayerNorm) for m in build("rezero", norm_first=True, norm_embedding=True).modules())


def test_joins_get_skip_and_branch():
    """With branches at 0 the stream is its embeddings, whatever the layers compute."""
    model, inputs = build("skipinit"), batch()
    embedded = model.encoder.forward_embedding(inputs["src_tokens"])[0]
    keep = inputs["src_tokens"].ne(model.encoder.padding_idx)
    out = model.encoder(inputs["src_tokens"])["encoder_out"][0].transpose(0, 1)
    assert torch.equal(out[keep], embedded[keep])
    joins = [m for m in model.modules() if isinstance(m, ScaledSum)]
    assert len(joins) == 2 * 2 + 3 * 2
    with torch.no_grad():
        joins[1].gain.fill_(0.5)  # feed-forward of the first encoder layer
    layer, x = model.encoder.layers[0], embedded.transpose(0, 1)
    branch = layer.fc2(torch.relu(layer.fc1(x)))
    torch.testing.assert_close(layer(x, None), x + 0.5 * branch)


def test_called_layers_compute_what_torchs_attention_computes():
    quick = build("none").eval()
    called = copy.deepcopy(quick)
    for module in called.modules():
        if hasattr(module, "_set_skip_embed_dim_check"):
            module._set_skip_embed_dim_check()
    torch.testing.assert_close(called(**batch())[0], quick(**batch())[0])


def test_biases_stand_in_front_of_every_layer():
    model = build("fixup")
    biases = [p for p in model.sites if p.site.kind == "bias" and p.module is not None]
    assert len(biases) == 2 * (4 + 3) + 2 * (4 + 4 + 3) - 3 - 3  # the first block of each stack reads the embeddings
    plain, inputs = build("fixup"), batch()
    with torch.no_grad():
        for placed in model.sites:  # Fixup's last weights are zero, and nothing would show
            if placed.site.kind == "weight":
                placed.module.weight.normal_(generator=torch.Generator().manual_seed(3), std=0.1)
        plain.load_state_dict(model.state_dict())
        for placed in biases:
            before = model.eval()(**inputs)[0]
            placed.module.bias.fill_(0.7)
            reached = not torch.allclose(before, model(**inputs)[0], atol=1e-6)
            shifts_keys = placed.site.name.endswith(("k_proj_bias",))  # a shift of all keys moves all scores of a query alike ...
            assert reached or shifts_keys, placed.site.name
            placed.module.bias.zero_()


@pytest.mark.parametrize("name", standing())
def test_a_method_that_stands_trains_generates_and_does_not_look_ahead(name):
    model = build(name, GROUPS.get(name), norm_first=True)
    inputs = batch()
    model.train()(**inputs)[0].square().mean().backward()
    assert all(p.grad is None or bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    model.eval()
    with torch.no_grad():
        whole = model(**inputs)[0]
        other = {**inputs, "prev_output_tokens": inputs["prev_output_tokens"].clone()}
        other["prev_output_tokens"][:, 3] = 10
        torch.testing.assert_close(model(**other)[0][:, :3], whole[:, :3])
        encoded, state = model.encoder(inputs["src_tokens"]), {}
        steps = [model.decoder(inputs["prev_output_tokens"][:, : t + 1], encoded, incremental_state=state)[0] for t in range(4)]
    torch.testing.assert_close(torch.cat(steps, 1), whole[:, :4], atol=1e-5, rtol=1e-4)


def test_most_methods_stand():
    assert {"layer_norm", "rms_norm", "none", "rescalenet", "fixup", "skipinit", "rezero", "dynamic_tanh"} <= set(standing())
    assert {"l1_batch_norm", "bounded_weight_norm", "weight_norm", "batch_norm", "group_norm", "nf_resnet"} <= set(standing())
    assert {"instance_norm", "filter_response_norm", "evonorm_s0", "evonorm_b0"}.isdisjoint(standing())


@pytest.mark.parametrize("method", ["batch_norm", "l1_batch_norm", "weight_norm", "variance_norm"])
def test_padding_changes_nothing_where_statistics_go_over_the_batch(method):
    results = []
    for padding in (0, 3):
        model, inputs = build(method, norm_embedding=True).train(), batch(padding=padding)
        out = model(**inputs)[0]
        results.append((out[inputs["prev_output_tokens"].ne(1)], dict(model.named_buffers())))
    (out, buffers), (padded, padded_buffers) = results
    torch.testing.assert_close(padded, out, atol=1e-5, rtol=1e-4)
    moved = {name: b for name, b in buffers.items() if "running" in name}
    assert moved
    for name, buffer in moved.items():
        torch.testing.assert_close(padded_buffers[name], buffer, atol=1e-5, rtol=1e-4)


GUEST = """\"\"\"Centered inputs: y = x - mean over the batch, in front of every layer. x: (N, L, C).\"\"\"
from dataclasses import dataclass

from torch import nn

CITE = "a test, arXiv:0000.00000"


@dataclass(frozen=True, kw_only=True)
class Params:
    pass


class Centered(nn.Module):
    def forward(self, x):
        return x - x.mean((0, 1))


def bias(site, p):
    return Centered()


def reference(site, p, state, x):
    return x - x.mean((0, 1))
"""


def test_a_guests_statistics_see_no_padding_anywhere(tmp_path, monkeypatch):
    (tmp_path / "centered.py").write_text(GUEST)
    monkeypatch.setattr(sys.modules["normbench_fairseq.model"], "load_method", lambda name: load_method("centered", tmp_path))
    outputs = []
    for padding in (0, 3):
        inputs = batch(padding=padding)
        outputs.append(build("none").train()(**inputs)[0][inputs["prev_output_tokens"].ne(1)])
    torch.testing.assert_close(outputs[1], outputs[0], atol=1e-5, rtol=1e-4)


def test_batch_norm_over_words_is_torchs_on_the_words():
    site = Site("norm", "norm", WIDTH, "NLC")
    method, words = load_method("batch_norm"), words_module.Words()
    wrapped = OverWords(method.norm(site, method.params()), words).train()
    x, padding = torch.randn(5, 3, WIDTH), torch.zeros(3, 5, dtype=torch.bool)
    padding[0, 3:], padding[2, 4:] = True, True
    words.note(padding)
    out = wrapped(x)
    kept = ~padding.t()
    torch.testing.assert_close(out[kept], F.batch_norm(x[kept], None, None, training=True))
    assert not out[~kept].any()
    torch.testing.assert_close(wrapped.module.running_mean, 0.1 * x[kept].mean(0))


def test_what_statistics_go_over_is_asked_of_the_module():
    site = Site("norm", "norm", WIDTH, "NLC")
    for name, over in {"layer_norm": "token", "rms_norm": "token", "batch_norm": "batch", "instance_norm": "sentence"}.items():
        method = load_method(name)
        assert reach(method.norm(site, method.params()), WIDTH) == over


def test_those_that_cannot_stand_say_why():
    says = adapter.check(an_arm("instance_norm"))
    assert says.startswith("methods/instance_norm.py cannot stand at encoder.layers.0.self_attn.norm (norm, 16 features): ")
    assert says.endswith("its statistics go over the words of a sentence, and a decoder must not see the words that it is to predict")
    assert "a weight follows this norm at once" in adapter.check(an_arm("evonorm_s0"))
    assert "16 channels do not divide into 32 groups" in adapter.check(an_arm("group_norm"))
    assert "build the model with version 2" in adapter.check(an_arm("nf_resnet"))
    assert adapter.check(an_arm("nf_resnet", norm_first=True)) is None and adapter.check(an_arm("rescalenet")) is None


def test_learning_rates_and_decays_are_the_methods():
    model = build("fixup")
    mark_groups(model, 0.01)
    made = MethodAdam(_adam(), list(model.parameters()))
    made.set_lr(0.5)
    scalars = {id(p) for p in model.parameters() if p.ndim == 0}
    rates = {id(p): group["lr"] for group in made.param_groups for p in group["params"]}
    assert scalars and {rates[i] for i in scalars} == {0.05} and {rates[i] for i in rates if i not in scalars} == {0.5}
    assert made.get_lr() == 0.5 and {g["weight_decay"] for g in made.param_groups} == {0.01}
    model = build("rescalenet")
    mark_groups(model, 0.01)
    decays = {id(p): g["weight_decay"] for g in MethodAdam(_adam(), list(model.parameters())).param_groups for p in g["params"]}
    undecayed = {
        id(p)
        for g in make_optimizer(model, Recipe(steps=1, batch_size=1, lr=1, weight_decay=0.01)).param_groups
        for p in g["params"]
        if not g["weight_decay"]
    }
    assert undecayed and {i for i, decay in decays.items() if decay == 0} == undecayed


def _adam():
    from normbench_fairseq.optimizer import FairseqAdamConfig
    from omegaconf import OmegaConf

    return OmegaConf.merge(
        OmegaConf.structured(FairseqAdamConfig()), {"lr": [1.0], "weight_decay": 0.01, "tpu": False, "adam_betas": "(0.9, 0.98)"}
    )


def test_calibration_sees_the_model_as_it_calls_models():
    model, inputs = build("rescalenet", {"depth_scaled_init": False}), batch(sources=(6, 6), targets=(5, 5))
    seen = []
    model.encoder.layers[0].fc1.bias.register_forward_hook(lambda _, ins, out: seen.append(ins[0]))
    model.method.calibrate(Inputs(model), model.sites, model.method_params, [inputs])
    offset = model.encoder.layers[0].fc1.bias.offset
    assert bool(offset.any())
    torch.testing.assert_close(offset, -seen[0].mean((0, 1)))


def test_fairseq_does_not_put_the_tasks_folder_first_among_all_modules():
    assert not any(Path(place).resolve() == ROOT / "tasks" / "wmt" for place in sys.path)
