"""What stands in front of every job is short: torch's compiler, more than a second of imports, stays out of those that compile nothing."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

BUILD = """
import torch
from normbench import load_method
from normbench.models import build_model
method = load_method({method!r})
with torch.device("meta"):
    net = build_model({{"family": "plain_cnn", "depth": 10}}, method, method.params(), num_classes=10, in_shape=(3, 8, 8))
assert all(p.is_meta for p in net.parameters())
"""
CHECK = """
from normbench import load_method
from normbench.hooks.builder import refusal
from normbench.models import build_model
method = load_method("rescalenet")
model = {"family": "resnet", "layers": [1, 1], "stem_width": 8}
assert refusal(lambda: build_model(model, method, method.params(), num_classes=10, in_shape=(3, 8, 8))) is None
"""
TRAIN = """
import torch
from normbench import load_method
from normbench.models import build_model
from normbench.training.optimizer import make_optimizer
from normbench.config.recipe import Recipe
method = load_method("batch_norm")
net = build_model({{"family": "plain_cnn", "depth": 10}}, method, method.params(), num_classes=10, in_shape=(3, 8, 8))
optimizer = make_optimizer(net, Recipe(optimizer={optimizer!r}, lr=0.1, steps=1, batch_size=4))
torch.nn.functional.cross_entropy(net(torch.randn(4, 3, 8, 8)), torch.arange(4)).backward()
before = [p.detach().clone() for p in net.parameters()]
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert not torch.equal(next(net.parameters()), before[0]) and len(optimizer.param_groups[0]["params"])
"""
COMPUTE = """
import torch
from normbench.training.precision import set_arithmetic
set_arithmetic(1)
assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
assert torch.get_num_threads() == 1 and not torch.utils.deterministic.fill_uninitialized_memory
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


STARTS = [COMPUTE, CHECK, *(TRAIN.format(optimizer=name) for name in ("sgd", "adam"))]


@pytest.mark.parametrize("code", [*STARTS, *(BUILD.format(method=m) for m in ("weight_norm", "bounded_weight_norm"))])
def test_nothing_that_compiles_nothing_imports_the_compiler(code):
    run(code + "import sys\nassert not [name for name in sys.modules if name.startswith(('torch._dynamo', 'torch._inductor'))]")


@pytest.mark.parametrize("before", ["", "import torch._inductor.config\n"])
def test_the_compiler_is_told_to_be_deterministic_too(before):
    run(before + COMPUTE + "import torch._inductor.config as config\nassert config.deterministic")
