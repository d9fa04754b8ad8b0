"""The kit is worth what it catches: right methods pass every check, and each deliberate mistake fails the one meant for it."""

import textwrap

import pytest

from normbench.conformance.kit import CHECKS, check_method
from normbench.hooks.methods import load_method

LAYER_NORM = '''
    """Layer normalization: y = weight (x - mean) / sqrt(var + eps) + bias, over all but the samples."""

    from dataclasses import dataclass

    import torch
    from torch import nn

    CITE = "Ba, Kiros and Hinton, 2016, arXiv:1607.06450"


    @dataclass(frozen=True, kw_only=True)
    class Params:
        eps: float = 1e-5
        centered: bool = True


    class Norm(nn.Module):
        def __init__(self, site, p):
            super().__init__()
            self.shape, self.eps, self.centered, self.tokens = site.shape, p.eps, p.centered, site.layout == "NLC"
            self.weight = nn.Parameter(torch.ones(site.features))
            self.bias = nn.Parameter(torch.zeros(site.features))

        def forward(self, x):
            dims = (-1,) if self.tokens else tuple(range(1, x.ndim))
            if self.centered:
                x = x - x.mean(dims, keepdim=True)
            x = x * (x.square().mean(dims, keepdim=True) + self.eps).rsqrt()
            return x * self.weight.reshape(self.shape) + self.bias.reshape(self.shape)


    def norm(site, p):
        return Norm(site, p)


    def groups(model, sites, p):
        return [{"params": [s.module.bias for s in sites if s.site.kind == "norm"], "weight_decay": 0.0}]


    def reference(site, p, state, x):
        out = torch.empty_like(x)
        tokens = site.layout == "NLC"
        for part, to in zip(x.flatten(0, -2) if tokens else x, out.view(-1, x.shape[-1]) if tokens else out):
            mean = part.sum() / part.numel() if p.centered else 0.0
            to[...] = (part - mean) / ((part - mean).square().sum() / part.numel() + p.eps).sqrt()
        return out * state["weight"].reshape(site.shape) + state["bias"].reshape(site.shape)
'''

BATCH_NORM = '''
    """Batch normalization: y = weight (x - mean) / sqrt(var + eps) + bias, per channel."""

    from dataclasses import dataclass

    import torch
    from torch import nn

    CITE = "Ioffe and Szegedy, ICML 2015, arXiv:1502.03167"


    @dataclass(frozen=True, kw_only=True)
    class Params:
        eps: float = 1e-5
        momentum: float = 0.1


    class Norm(nn.Module):
        def __init__(self, site, p):
            super().__init__()
            self.shape, self.dims, self.p = site.shape, site.reduce_dims, p
            self.weight = nn.Parameter(torch.ones(site.features))
            self.bias = nn.Parameter(torch.zeros(site.features))
            self.register_buffer("running_mean", torch.zeros(site.features))
            self.register_buffer("running_var", torch.ones(site.features))

        def forward(self, x):
            mean, var = self.running_mean, self.running_var
            if self.training:
                mean = x.mean(self.dims)
                var = (x - mean.reshape(self.shape)).square().mean(self.dims)
                n = x.numel() / self.weight.numel()
                with torch.no_grad():
                    self.running_mean.lerp_(mean.to(self.running_mean), self.p.momentum)
                    self.running_var.lerp_((var * (n / (n - 1))).to(self.running_var), self.p.momentum)
            scale = self.weight * (var + self.p.eps).rsqrt()
            return (x - mean.reshape(self.shape)) * scale.reshape(self.shape) + self.bias.reshape(self.shape)


    def norm(site, p):
        return Norm(site, p)


    def reference(site, p, state, x):
        rows = x.movedim(site.channel_dim, 0).reshape(site.features, -1)
        mean = rows.sum(1) / rows.shape[1]
        var = (rows - mean[:, None]).square().sum(1) / rows.shape[1]
        per_channel = [v.reshape(site.shape) for v in (mean, var, state["weight"], state["bias"])]
        mean, var, weight, bias = per_channel
        return (x - mean) / (var + p.eps).sqrt() * weight + bias
'''

RESIDUAL = '''
    """Centered weights, a gain on the branch, a bias, a shifted ReLU: w = gain (v - mean), y = skip + gain branch."""

    from dataclasses import dataclass
    from typing import Literal

    import torch
    from torch import nn
    from torch.nn.utils import parametrize

    CITE = "De and Smith, NeurIPS 2020, arXiv:2002.10444"
    VARIANTS = [{"alpha": 0.25, "act": "shifted"}]


    @dataclass(frozen=True, kw_only=True)
    class Params:
        alpha: float = 0.5
        act: Literal["relu", "shifted"] = "relu"

        def __post_init__(self):
            if not self.alpha:
                raise ValueError(f"alpha must not be 0, got {self.alpha}")


    class Join(nn.Module):
        def __init__(self, alpha):
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(alpha))

        def forward(self, skip, branch):
            return skip + self.gain * branch


    class Centered(nn.Module):
        def __init__(self, features):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(features))

        def forward(self, v):
            centered = v - v.flatten(1).mean(1).reshape(-1, *[1] * (v.ndim - 1))
            return self.gain.reshape(-1, *[1] * (v.ndim - 1)) * centered


    class Bias(nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(shape))

        def forward(self, x):
            return x + self.bias


    class Shifted(nn.Module):
        def forward(self, x):
            return x.relu() - 0.4


    def join(site, p):
        return Join(p.alpha / site.depth)


    def weight(site, p, layer):
        parametrize.register_parametrization(layer, "weight", Centered(site.features))
        return layer


    def bias(site, p):
        return Bias(site.shape)


    def activation(site, p, act):
        return Shifted() if p.act == "shifted" else None


    def clip(model, sites, p):
        for parameter in model.parameters():
            parameter.grad *= 0.5


    def calibrate(model, sites, p, batches):
        with torch.no_grad():
            model(batches[0])


    def refuse(site, p):
        return "a network of version 1 activates after the join" if site.version == 1 else None


    def reference(site, p, state, *tensors):
        if site.kind == "join":
            skip, branch = tensors
            return skip + state["gain"] * branch
        (x,) = tensors
        if site.kind == "weight":
            rows = [w - w.sum() / w.numel() for w in x]
            return torch.stack(rows) * state["parametrizations.weight.0.gain"].reshape(-1, *[1] * (x.ndim - 1))
        if site.kind == "bias":
            return x + state["bias"]
        return torch.where(x > 0, x, 0.0) - 0.4
'''
RIGHT = {"layer_norm": LAYER_NORM, "batch_norm": BATCH_NORM, "residual": RESIDUAL}

# the right file, what is replaced, by what, the check that has to fail, and a part of what it has to say
WRONG = {
    "eps": (
        "layer_norm",
        "+ self.eps)",
        "+ 1e-3)",
        "reference",
        "of the largest value, more than 1e-12 at a norm site, NCHW, tensors (4, 6, 5, 3)",
    ),
    "eps outside the root": ("batch_norm", "(var + self.p.eps).rsqrt()", "(var.sqrt() + self.p.eps).reciprocal()", "reference", "differs"),
    "unbiased variance": (
        "batch_norm",
        "rsqrt()\n",
        "rsqrt() * (1 - 1 / n) ** 0.5\n",
        "reference",
        "differs from reference: by",
    ),
    "biased layer norm": ("layer_norm", ".square().mean(dims", ".square().sum(dims", "reference", "differs from reference"),
    "a flag without effect": ("layer_norm", "if self.centered:", "if True:", "reference", "params {'centered': False}"),
    "affine forgotten": ("layer_norm", "* self.weight.reshape(self.shape) ", "", "reference", "differs from reference"),
    "channels last": ("layer_norm", 'site.layout == "NLC"\n            self', "False\n            self", "reference", "norm site, NLC"),
    "join ignores its gain": ("residual", "skip + self.gain * branch", "skip + branch", "reference", "at a join site"),
    "weight not centered": ("residual", "* centered", "* v", "reference", "at a weight site, NCHW"),
    "shape": ("residual", "return x + self.bias", "return (x + self.bias).sum(0)", "reference", "instead of (4, 6, 5, 3)"),
    "a constant in the graph": (
        "layer_norm",
        "eps).rsqrt()",
        "eps).rsqrt().detach()",
        "gradients",
        "input 0, at a norm site, NCHW",
    ),
    "gradient of the gain": (
        "residual",
        "self.gain * branch",
        "self.gain.detach() * branch",
        "gradients",
        "gradcheck fails in training: Jacobian mismatch for output 0 with respect to input 2, at a join",
    ),
    "running update forgotten": (
        "batch_norm",
        "self.running_mean.lerp_",
        "torch.clone(self.running_mean).lerp_",
        "evaluation",
        "evaluation does not come",
    ),
    "running deviation": (
        "batch_norm",
        "lerp_((var * (n / (n - 1))).to",
        "lerp_((var * (n / (n - 1))).sqrt().to",
        "evaluation",
        "does not come",
    ),
    "momentum the other way": (
        "batch_norm",
        "mean), self.p.momentum",
        "mean), 1 - self.p.momentum",
        "evaluation",
        "running_mean does not move by momentum 0.1",
    ),
    "noise in training": (
        "residual",
        "return x + self.bias",
        "return x + self.bias * (1 + self.training)",
        "evaluation",
        "has no running_ buffers",
    ),
    "batch-dependent layer norm": (
        "layer_norm",
        "tuple(range(1, x.ndim))",
        "tuple(range(0, x.ndim))",
        "batch_independence",
        "depends on the others",
    ),
    "no batch in batch norm": ("batch_norm", "if self.training:", "if False:", "batch_independence", "does not see the others in training"),
    "overflow": ("layer_norm", "x.square().mean(", "(x * 100).square().mean(", "half_precision", "float16"),
    "another type in half": ("batch_norm", "mean.to(self.running_mean)", "mean", "half_precision", "RuntimeError"),
    "state out of sight": (
        "residual",
        "return x + self.bias",
        "self.calls = getattr(self, 'calls', 0) + 1\n            return x + self.calls * self.bias",
        "state",
        "a module that loaded the state gives another output in evaluation at a bias site",
    ),
    "state not saved": (
        "batch_norm",
        'torch.zeros(site.features))\n            self.register_buffer("running_var"',
        'torch.zeros(site.features), persistent=False)\n            self.register_buffer("running_var"',
        "state",
        "a module that loaded the state",
    ),
    "a graph break": ("layer_norm", "if self.centered:", "if self.centered and x.sum().item() != 0.5:", "compile", "torch.compile fails"),
    "a parameter in two groups": ("layer_norm", "return [{", "return 2 * [{", "groups", "stands in two groups"),
    "an unknown key": ("layer_norm", '"weight_decay": 0.0', '"decay": 0.0', "groups", "groups has the key 'decay'"),
    "a parameter of nobody": ("layer_norm", "s.module.bias for s", "s.module.bias.detach() for s", "groups", "no parameter of the model"),
    "a parameter without part": ("batch_norm", "scale = self.weight *", "scale = self.weight.detach() *", "network", "takes no part"),
    "clip that lengthens": ("residual", "parameter.grad *= 0.5", "parameter.grad *= 2", "network", "clip makes the gradient"),
    "calibrate leaves eval": (
        "residual",
        "model(batches[0])",
        "model.eval()(batches[0])",
        "network",
        "calibrate leaves the model in evaluation mode",
    ),
    "no year": ("layer_norm", "Ba, Kiros and Hinton, 2016, arXiv:1607.06450", "Ba, Kiros and Hinton", "file", "has no year or number"),
    "refuses without a word": (
        "residual",
        '"a network of version 1 activates after the join" if site.version == 1 else None',
        '"no" if site.kind == "join" and site.layout == "NLC" else None',
        "file",
        "refuse answers 'no'",
    ),
    "stands nowhere": (
        "residual",
        'Shifted() if p.act == "shifted" else None',
        "None",
        "file",
        "activation is defined and puts a module nowhere",
    ),
}


@pytest.fixture
def write(tmp_path):
    def write(source, name="tried"):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        return load_method(name, tmp_path)

    return write


@pytest.mark.parametrize("name", RIGHT)
def test_right_methods_pass(name, write):
    assert check_method(write(RIGHT[name])) == []


@pytest.mark.parametrize("mistake", WRONG)
def test_mistakes_are_caught(mistake, write):
    right, old, new, check, says = WRONG[mistake]
    source = RIGHT[right]
    assert old in source, f"the mistake {mistake!r} replaces nothing"
    method = write(source.replace(old, new))
    with pytest.raises(AssertionError) as caught:
        CHECKS[check](method)
    assert says in str(caught.value)
