"""What stands in front of every job is short: torch's compiler, more than a second of imports, stays out of those that compile nothing."""

import subprocess
import sys

import pytest

BUILD = """
import torch
from normbench import load_method
from normbench.models import build_model
method = load_method({method!r})
with torch.device("meta"):
    net = build_model({{"family": "plain_cnn", "depth": 10}}, method, method.params(), num_classes=10, in_shape=(3, 8, 8))
assert all(p.is_meta for p in net.parameters())
"""
COMPUTE = """
import torch
from normbench.precision import set_arithmetic
set_arithmetic(1)
assert torch.are_deterministic_algorithms_enabled() and torch.is_deterministic_algorithms_warn_only_enabled()
assert torch.get_num_threads() == 1 and not torch.utils.deterministic.fill_uninitialized_memory
"""


def run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [COMPUTE, *(BUILD.format(method=m) for m in ("weight_norm", "bounded_weight_norm"))])
def test_nothing_that_compiles_nothing_imports_the_compiler(code):
    run(code + "import sys\nassert not [name for name in sys.modules if name.startswith(('torch._dynamo', 'torch._inductor'))]")


@pytest.mark.parametrize("before", ["", "import torch._inductor.config\n"])
def test_the_compiler_is_told_to_be_deterministic_too(before):
    run(before + COMPUTE + "import torch._inductor.config as config\nassert config.deterministic")
