"""Every method trains on two processes as on one; one spawn trains them all."""

import textwrap

import pytest
import torch
import two_processes
from method_sources import LAYER_NORM

from normbench.hooks.methods import METHODS, load_method, method_names

pytestmark = pytest.mark.slow

NAMES = method_names()
CLIP = """
    def clip(model, sites, p):
        for parameter in model.parameters():
            parameter.grad *= 1 - 0.5 * torch.distributed.get_rank()
"""
WRONG = {
    "wrong_each_rank_its_own": LAYER_NORM + CLIP,
    "wrong_sees_the_batch": LAYER_NORM.replace("tuple(range(1, x.ndim))", "tuple(range(0, x.ndim))"),
}


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    for name, source in WRONG.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return folder


@pytest.fixture(scope="module")
def ranks(request, tmp_path_factory, wrong):
    """What the two processes ended with, for the methods that this session selected: by rank {method: parameters}."""
    selected = {item.callspec.params["name"] for item in request.session.items if item.name.startswith("test_two_processes_agree")}
    folder = tmp_path_factory.mktemp("two_processes")
    methods = [(name, METHODS) for name in sorted(selected)] + [(name, wrong) for name in WRONG]
    torch.multiprocessing.spawn(two_processes.one_rank, (methods, str(folder)), nprocs=two_processes.RANKS)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(two_processes.RANKS)]


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_agree(name, ranks):
    """Both ranks hold the same parameters, and without batch statistics those of one process on the whole batch."""
    two_processes.check_ranks(*(rank[name] for rank in ranks))
    two_processes.check_alone(load_method(name), ranks[0][name])


def test_ranks_that_differ_are_caught(ranks):
    with pytest.raises(AssertionError, match="two processes end with different values of"):
        two_processes.check_ranks(*(rank["wrong_each_rank_its_own"] for rank in ranks))


def test_statistics_of_a_part_of_the_batch_are_caught(ranks, wrong):
    two_processes.check_ranks(*(rank["wrong_sees_the_batch"] for rank in ranks))
    with pytest.raises(AssertionError, match="two processes: "):
        two_processes.check_alone(load_method("wrong_sees_the_batch", wrong), ranks[0]["wrong_sees_the_batch"])
