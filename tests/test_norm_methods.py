"""What the norm methods promise beyond the conformance kit: torch's numbers, ghost batches, where they stand, one-sentence errors."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from facts import mistake, names
from norm_samples import gaussian, make, site
from torch import nn

from normbench import load_method
from normbench.hooks.sites import Site

ROOT = Path(__file__).resolve().parent.parent


# what torch has, to the bit


@pytest.mark.parametrize(("layout", "kind", "shape"), [("NCHW", nn.BatchNorm2d, (4, 6, 5, 3)), ("NCTHW", nn.BatchNorm3d, (4, 6, 2, 3, 2))])
def test_batch_norm_is_torchs(layout, kind, shape):
    module = make("batch_norm", site(layout=layout))
    assert type(module) is kind
    assert (module.eps, module.momentum, module.affine) == (1e-5, 0.1, True)


@pytest.mark.parametrize("params", [{}, {"fused": False}])
def test_batch_norm_on_tokens_is_torchs_on_the_flattened(params):
    module, torchs = make("batch_norm", site(layout="NLC"), **params).double(), nn.BatchNorm1d(6).double()
    x = gaussian(4, 7, 6) * 3 + 1
    for training in (True, False):
        module.train(training), torchs.train(training)
        torch.testing.assert_close(module(x), torchs(x.flatten(0, 1)).view_as(x), rtol=0, atol=1e-12)
    for name, buffer in torchs.named_buffers():
        torch.testing.assert_close(module.get_buffer(name), buffer, rtol=0, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
def test_ghost_batches_are_torchs_chunk_by_chunk(fused):
    x = gaussian(7, 6, 3, 3) * torch.linspace(1, 4, 7, dtype=torch.float64).view(-1, 1, 1, 1)
    module = make("batch_norm", ghost_batch_size=3, fused=fused).double()
    chunks, each = x.split(3), [nn.BatchNorm2d(6, momentum=1.0).double() for _ in range(3)]
    expected = torch.cat([m(chunk) for m, chunk in zip(each, chunks, strict=True)])
    torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-12)
    for name, start in (("running_mean", 0.0), ("running_var", 1.0)):
        of_chunks = sum(len(chunk) * m.get_buffer(name) for m, chunk in zip(each, chunks, strict=True)) / 7
        torch.testing.assert_close(module.get_buffer(name), 0.9 * start + 0.1 * of_chunks, rtol=0, atol=1e-12)
    assert module.num_batches_tracked == 1


def test_a_ghost_batch_of_the_whole_batch_is_batch_norm():
    x = gaussian(4, 6, 3, 3)
    torch.testing.assert_close(make("batch_norm", ghost_batch_size=64).double()(x), make("batch_norm").double()(x), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "layout", "torchs", "shape"),
    [
        ("layer_norm", "NLC", lambda: nn.LayerNorm(6), (4, 7, 6)),
        ("layer_norm", "NCHW", lambda: nn.LayerNorm([6, 5, 3], elementwise_affine=False), (4, 6, 5, 3)),
        ("rms_norm", "NLC", lambda: nn.RMSNorm(6, eps=1e-5), (4, 7, 6)),
        ("instance_norm", "NCHW", lambda: nn.InstanceNorm2d(6), (4, 6, 5, 3)),
        ("instance_norm", "NCTHW", lambda: nn.InstanceNorm3d(6), (4, 6, 2, 3, 3)),
    ],
)
def test_equals_torchs_layer(name, layout, torchs, shape):
    x = gaussian(*shape) * 2 + 0.5
    torch.testing.assert_close(make(name, site(layout=layout)).double()(x), torchs().double()(x), rtol=0, atol=1e-12)


def test_instance_norm_of_tokens_is_torchs_of_channels_second():
    x = gaussian(4, 7, 6) * 2 + 0.5
    expected = nn.InstanceNorm1d(6).double()(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(make("instance_norm", site(layout="NLC")).double()(x), expected, rtol=0, atol=1e-12)


def test_group_size_wins_over_num_groups():
    x = gaussian(3, 6, 2, 2)
    torch.testing.assert_close(make("group_norm", num_groups=6, group_size=3).double()(x), nn.GroupNorm(2, 6).double()(x))


# where a method stands


def test_zero_init_last_starts_the_end_of_a_branch_at_zero_and_nothing_else():
    for name in ("batch_norm", "group_norm", "evonorm_b0", "evonorm_s0"):
        sizes = {"num_groups": 2} if name in ("group_norm", "evonorm_s0") else {}
        places = {"branch": site(precedes="join", role="branch"), "shortcut": site(precedes="join", role="shortcut"), "inner": site()}
        first = {what: make(name, at, zero_init_last=True, **sizes).weight for what, at in places.items()}
        assert (first["branch"] == 0).all() and (first["shortcut"] == 1).all() and (first["inner"] == 1).all(), name
        assert (make(name, places["branch"], **sizes).weight == 1).all(), name


def test_only_final_leaves_the_head_alone():
    assert make("batch_norm", site(role="branch"), only_final=True) is None
    assert isinstance(make("batch_norm", site(role="head"), only_final=True), nn.BatchNorm2d)


@pytest.mark.parametrize("name", ["evonorm_b0", "evonorm_s0"])
def test_evonorm_takes_the_activation_with_it(name):
    method, p = load_method(name), load_method(name).params()
    act = nn.ReLU()
    behind = [Site("activation", "act", 32, "NCHW", follows=follows) for follows in ("norm", "join")]
    assert isinstance(method.activation(behind[0], p, act), nn.Identity)
    assert method.activation(behind[1], p, act) is None
    alone = method.norm(site(32, precedes="join"), p)
    assert {n for n, _ in alone.named_parameters()} == {"weight", "bias"} and not list(alone.buffers())
    x = gaussian(2, 32, 3, 3, dtype=torch.float32)
    assert torch.equal(alone(x), x), "without the nonlinearity it is scale and shift alone"


def test_filter_response_norm_brings_its_threshold():
    method, p = load_method("filter_response_norm"), load_method("filter_response_norm").params()
    unit = method.activation(Site("activation", "act", 6, "NCHW", follows="norm"), p, nn.ReLU())
    x = gaussian(4, 6, 3, 3, dtype=torch.float32)
    assert torch.equal(unit(x), torch.relu(x)), "tau starts at 0"
    assert method.activation(Site("activation", "act", 6, "NCHW", follows="join"), p, nn.ReLU()) is None


def test_a_learned_eps_keeps_the_magnitude_of_a_single_position():
    x = torch.tensor([0.01, 0.02], dtype=torch.float64).view(2, 1, 1, 1)
    fixed, learned = (make("filter_response_norm", site(1), learnable_eps=on).double()(x).flatten() for on in (False, True))
    assert fixed[1] / fixed[0] < 1.01
    expected = x.flatten() / (x.flatten() ** 2 + 1e-6 + 1e-4).sqrt()
    torch.testing.assert_close(learned, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "name", ["batch_norm", "variance_norm", "l1_batch_norm", "layer_norm", "rms_norm", "filter_response_norm", "dynamic_tanh"]
)
def test_takes_vectors_behind_the_pool(name):
    x = gaussian(5, 6)
    module = make(name, site(layout="NLC")).double()
    assert module(x).shape == x.shape
    torch.testing.assert_close(make(name, site(layout="NLC")).double()(x.unsqueeze(1)).squeeze(1), module(x), rtol=0, atol=1e-12)


# errors


@pytest.mark.parametrize(
    ("name", "params", "facts"),
    [
        ("batch_norm", {"momentum": 1.5}, ["momentum", "[0, 1]", "got 1.5"]),
        ("batch_norm", {"eps": 0}, ["eps", "above 0", "got 0"]),
        ("batch_norm", {"ghost_batch_size": 0}, ["ghost_batch_size", "whole number", "from 1", "got 0"]),
        ("batch_norm", {"zero_init_last": True, "affine": False}, ["zero_init_last", "affine=False"]),
        ("l1_batch_norm", {"constant_scale": -1}, ["constant_scale", "above 0", "got -1"]),
        ("l1_batch_norm", {"eps": -1e-5}, ["eps", "0 or above", "got -1e-05"]),
        ("topk_batch_norm", {"k": 2.5}, ["k", "whole number", "from 1", "got 2.5"]),
        ("topk_batch_norm", {"smoothing": 2}, ["smoothing", "[0, 1]", "got 2"]),
        ("group_norm", {"num_groups": True}, ["num_groups", "whole number", "from 1", "got True"]),
        ("variance_norm", {"momentum": "0.1"}, ["momentum", "[0, 1]", "'0.1'"]),
        ("dynamic_tanh", {"alpha_init": 0.0}, ["alpha_init", "other than 0", "got 0.0"]),
    ],
)
def test_parameters_out_of_range_are_one_sentence(name, params, facts):
    with mistake(f"methods/{name}.py", *facts):
        load_method(name).params(**params)


@pytest.mark.parametrize("name", ["group_norm", "evonorm_s0"])
def test_refuses_groups_that_do_not_divide(name):
    method = load_method(name)
    assert method.refuse(site(16), method.params(num_groups=5)) == "16 channels do not divide into 5 groups; 1, 2, 4, 8 or 16 would do"
    assert method.refuse(site(6), method.params(group_size=4)) == "6 channels do not divide into groups of 4; 1, 2, 3 or 6 would do"
    assert method.refuse(site(16), method.params(group_size=4)) is None
    assert method.refuse(Site("join", "join", 16, "NCHW"), method.params(num_groups=5)) is None


def test_refuses_single_channel_groups_of_tokens():
    method = load_method("group_norm")
    sentence = "a group of a token would be 1 of its 32 channels, and a single value has no variance; fewer groups would do"
    assert method.refuse(site(32, layout="NLC"), method.params()) == sentence
    assert method.refuse(site(64, layout="NLC"), method.params()) is None


@pytest.mark.parametrize("name", ["evonorm_b0", "evonorm_s0"])
def test_evonorm_refuses_a_norm_that_a_weight_follows_at_once(name):
    method = load_method(name)
    sentence = "it is a norm and an activation in one, and a weight follows this norm at once, so it would only scale and shift"
    assert method.refuse(site(64, layout="NLC", precedes="weight"), method.params()) == sentence


@pytest.mark.parametrize("name", ["variance_norm", "l1_batch_norm", "linf_batch_norm", "topk_batch_norm", "evonorm_b0"])
def test_one_value_per_channel_is_an_error(name):
    with pytest.raises(ValueError, match=r"at least 2 values per channel, got a tensor of shape \(1, 6, 1, 1\)"):
        make(name)(torch.zeros(1, 6, 1, 1))


# the benchmark


def test_norm_speed_prints_a_table_and_writes_it(tmp_path, monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("norm_speed", ROOT / "benchmarks" / "norm_speed.py")
    norm_speed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(norm_speed)
    monkeypatch.setattr(norm_speed, "SHAPE", (2, 64, 4, 4))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "compile", lambda layer, **_: layer)
    norm_speed.main(["--rounds", "1", "--methods", "l1_batch_norm", "rms_norm"])
    rows = json.loads((tmp_path / "build" / "benchmarks" / "norm_speed.json").read_text())["rows"]
    assert {row["method"] for row in rows} == {"nn.BatchNorm2d", "l1_batch_norm", "rms_norm"}
    assert next(row for row in rows if row["method"] == "nn.BatchNorm2d")["eager_ratio"] == 1.0
    printed = capsys.readouterr().out
    assert all(f"| {row['method']} | {row['eager_ms']:.2f} |" in printed for row in rows)
    with pytest.raises(SystemExit) as error:
        norm_speed.main(["--methods", "l1_batchnorm"])
    names(str(error.value), "'l1_batchnorm'", "'l1_batch_norm'")
