"""The sites of models: each stands where the data flows as it says, and is named and numbered once."""

from collections import Counter, defaultdict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from normbench import load_method
from normbench.models import plain_cnn, resnet, vgg, wide_resnet
from normbench.models.blocks import SHORTCUTS, Pad

EVERYWHERE = '''"""A module at every norm, join and bias site: y = 1.5 x.

x, y: any shape."""
from dataclasses import dataclass
from torch import nn

CITE = "a control for tests"

@dataclass(frozen=True, kw_only=True)
class Params:
    pass

class Mark(nn.Module):
    def forward(self, x):
        return 1.5 * x

class MarkedSum(nn.Module):
    def forward(self, skip, branch):
        return skip + 1.5 * branch

def norm(site, p):
    return Mark()

def bias(site, p):
    return Mark()

def join(site, p):
    return MarkedSum()

def weight(site, p, layer):
    stds[site.name] = layer.weight.std().item()

def reference(site, p, state, *x):
    return 1.5 * x[0]

stds = {}
'''


@pytest.fixture(scope="session")
def method(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    (folder / "everywhere.py").write_text(EVERYWHERE)
    return load_method("everywhere", folder)


POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
SEEN_THROUGH = (nn.Dropout, nn.Dropout2d, nn.Flatten, Pad)


def flow(model, x):
    """({site: kind of what made its input}, {site: kinds of what takes its output}), seen in a forward pass.

    Biases, dropout, flattening and padding are seen through. A join follows its branch, and takes its skip from
    the shortcut's layers only.
    """
    sites = {id(p.module): p.site for p in model.sites if p.module is not None}
    made_by, follows, takers, alive = {}, {}, defaultdict(set), []

    def watch(module, inputs, output):
        alive.append((inputs, output))  # an id is a tensor's own only while the tensor lives
        site = sites.get(id(module))
        kind = "pool" if isinstance(module, POOLS) else site.kind if site and site.kind != "bias" else None
        sources = [made_by.get(id(tensor), (None, "input")) for tensor in inputs]
        if site:
            follows[site.name] = sources[-1][1]
        for source, _ in sources:
            if kind and source and (source is sources[-1][0] or source.role == "shortcut"):
                takers[source.name].add(kind)
        made_by[id(output)] = (site, kind) if kind else sources[-1]

    for module in model.modules():
        if id(module) in sites or isinstance(module, (*POOLS, *SEEN_THROUGH)):
            module.register_forward_hook(watch)
    model(x)
    return follows, takers


def check_sites(model, in_shape=(3, 16, 16)):
    """All that holds for the sites of any model."""
    sites = [p.site for p in model.sites]
    assert Counter(s.name for s in sites).most_common(1)[0][1] == 1
    follows, takers = flow(model, torch.randn(2, *in_shape))
    assert follows == {s.name: s.follows for s in sites}
    for site in sites:
        if site.kind != "bias":
            assert site.precedes in (takers[site.name] or {"output"}), site


def check_blocks(model, version, depth):
    sites = [p.site for p in model.sites]
    assert [s.k for s in sites if s.kind == "join"] == list(range(1, depth + 1))
    for site in sites:
        inside = site.name.startswith("layer")
        assert (site.k is not None, site.depth, site.version) == (inside, depth if inside else None, version if inside else None)
        assert not inside or site.role == ("shortcut" if ".shortcut." in site.name else "branch")
    assert all(s.kind != "bias" or s.precedes in ("weight", "activation", "pool") for s in sites)


@settings(max_examples=25, deadline=None)
@given(
    layers=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    block=st.sampled_from(["basic", "bottleneck"]),
    shortcut=st.sampled_from(SHORTCUTS),
    stem=st.sampled_from(["imagenet", "cifar"]),
    norms=st.tuples(st.sampled_from([None, True, False]), st.sampled_from([None, True, False]), st.booleans()),
    kind=st.sampled_from([1, 2, "early"]),
    drop_conv=st.sampled_from([0.0, 0.1]),
)
def test_residual_sites_are_where_they_say(method, layers, block, shortcut, stem, norms, kind, drop_conv):
    stem_norm, final_norm, head_norm = norms
    version = 2 if kind == 2 else 1
    model = resnet(
        **{"layers": layers, "block": block, "shortcut": shortcut, "stem": stem, "width": 4, "drop_conv": drop_conv},
        **{"stem_norm": stem_norm, "final_norm": final_norm, "head_norm": head_norm},
        **{"version": version, "activation_before_join": kind == "early", "method": method, "num_classes": 2},
    )
    check_sites(model)
    check_blocks(model, version, sum(layers))
    transitions = {s.site.name.split(".")[0] for s in model.sites if s.site.transition}
    grows = {f"layer{i}" for i in range(2, len(layers) + 1)} | ({"layer1"} if block == "bottleneck" else set())
    assert transitions == (set() if shortcut == "pad" else grows)


@pytest.mark.parametrize(
    "build",
    [
        lambda m: wide_resnet(16, 2, base_width=2, method=m, num_classes=2),
        lambda m: vgg(16, width=2, hidden=4, method=m, num_classes=2),
        lambda m: vgg(11, width=2, classifier="cifar", drop_fc=0.2, method=m, num_classes=2),
        lambda m: plain_cnn(20, width=2, drop_conv=0.1, method=m, num_classes=2),
    ],
)
def test_sites_of_the_other_families_are_where_they_say(method, build):
    check_sites(build(method))


def listed(model, prefix):
    return [
        (p.site.name.removeprefix(prefix), p.site.position, p.site.follows, p.site.precedes)
        for p in model.sites
        if p.site.name.startswith(prefix)
    ]


def test_the_sites_of_a_version_1_block(method):
    model = resnet(layers=[1, 1], block="basic", width=2, shortcut="avgpool_conv1x1", method=method, num_classes=2)
    assert listed(model, "layer2.0.") == [
        ("before_conv1", 0, "activation", "weight"),
        ("conv1", 0, "activation", "norm"),
        ("norm1", 0, "weight", "activation"),
        ("before_act1", 0, "norm", "activation"),
        ("act1", 0, "norm", "weight"),
        ("before_conv2", 1, "activation", "weight"),
        ("conv2", 1, "activation", "norm"),
        ("norm2", 1, "weight", "join"),
        ("shortcut.before_conv", 0, "pool", "weight"),
        ("shortcut.conv", 0, "pool", "norm"),
        ("shortcut.norm", 0, "weight", "join"),
        ("join", None, "norm", "activation"),
        ("before_act", None, "join", "activation"),
        ("act", None, "join", "pool"),
    ]
    assert {(p.site.length, p.site.stage, p.site.stage_k) for p in model.sites if p.site.role == "branch"} == {(2, 0, 1), (2, 1, 1)}


def test_the_sites_of_a_version_2_block(method):
    model = resnet(layers=[1, 1], block="basic", width=2, version=2, method=method, num_classes=2)
    assert listed(model, "layer2.0.") == [
        ("norm1", 0, "join", "activation"),
        ("before_act1", 0, "norm", "activation"),
        ("act1", 0, "norm", "weight"),
        ("before_conv1", 0, "activation", "weight"),
        ("conv1", 0, "activation", "norm"),
        ("norm2", 1, "weight", "activation"),
        ("before_act2", 1, "norm", "activation"),
        ("act2", 1, "norm", "weight"),
        ("before_conv2", 1, "activation", "weight"),
        ("conv2", 1, "activation", "join"),
        ("shortcut.before_conv", 0, "activation", "weight"),
        ("shortcut.conv", 0, "activation", "join"),
        ("join", None, "weight", "norm"),
    ]
    assert [p.site.follows for p in model.sites if p.site.name == "layer1.0.norm1"] == ["weight"]
    assert [(p.site.role, p.site.precedes) for p in model.sites if p.site.name.startswith("head.")] == [
        ("head", "activation"),
        ("head", "activation"),
        ("head", "pool"),
    ]


def test_stages_and_layouts(method):
    model = resnet(layers=[2, 1], block="bottleneck", width=2, dims=3, method=method, num_classes=7)
    joins = [(p.site.stage, p.site.stage_k, p.site.features, p.site.length) for p in model.sites if p.site.kind == "join"]
    assert joins == [(0, 1, 8, 3), (0, 2, 8, 3), (1, 1, 16, 3)]
    layouts = {p.site.name: (p.site.layout, p.site.features) for p in model.sites}
    assert (layouts.pop("before_fc"), layouts.pop("fc")) == (("NLC", 16), ("NLC", 7))
    assert {layout for layout, _ in layouts.values()} == {"NCTHW"}


def test_plain_weights_are_numbered(method):
    sites = [p.site for p in plain_cnn(10, width=2, method=method, num_classes=2).sites]
    assert [(s.k, s.depth) for s in sites if s.kind == "weight"] == [(k, 10) for k in range(1, 11)] + [(None, None)]
    assert {s.role for s in sites} == {"plain", "head"}


def test_a_method_sees_layers_that_are_initialized(method):
    torch.manual_seed(0)
    resnet(20, width=64, method=method, num_classes=2)
    stds = method._module.stds
    assert stds["layer2.0.conv2"] == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.05)


def test_no_activation_writes_over_what_the_skip_needs():
    model = resnet(layers=[1], block="basic", width=2, version=2, method=load_method("none"), num_classes=2)
    x = torch.randn(2, 2, 4, 4)
    kept = x.clone()
    model.layer1(x)
    assert torch.equal(x, kept)
