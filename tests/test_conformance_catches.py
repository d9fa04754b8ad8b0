"""The kit is worth what it catches: right methods pass every check, and each deliberate mistake fails the one meant for it."""

import textwrap

import pytest
from method_sources import BATCH_NORM, LAYER_NORM, RESIDUAL

from normbench.conformance.kit import CHECKS, check_method
from normbench.hooks.methods import load_method

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


@pytest.mark.slow
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
