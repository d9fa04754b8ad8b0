"""Training a small network with every method on two processes: what tests/test_two_processes.py spawns once."""

import faulthandler
import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from patience import PATIENCE
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from normbench.conformance.nets import batches, small_nets
from normbench.hooks.methods import Method, load_method

STEPS, RATE, RANKS = 2, 0.05, 2


def small_net(method: Method) -> tuple[nn.Module, tuple[int, ...]]:
    """The first network that the method takes, in float64, its first batches seen."""
    _, model, shape = next(small_nets(method))
    model.double()
    method.calibrate(model, model.sites, model.method_params, [x.double() for x, _ in batches(shape, 2)])
    return model, shape


def train(model: nn.Module, shape: tuple[int, ...], rank: int = 0, ranks: int = 1) -> None:
    """STEPS steps of SGD on this rank's share of each batch, with the method's clipping."""
    inner = getattr(model, "module", model)
    optimizer = torch.optim.SGD(inner.parameters(), lr=RATE, momentum=0.9)
    for x, target in batches(shape, STEPS, seed=3):
        optimizer.zero_grad()
        mine = slice(rank * shape[0] // ranks, (rank + 1) * shape[0] // ranks)
        nn.functional.cross_entropy(model(x[mine].double()), target[mine]).backward()
        inner.method.clip(inner, inner.sites, inner.method_params)
        optimizer.step()


def parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def check_ranks(first: Any, second: Any) -> None:
    """Both ranks ended with equal parameters."""
    assert isinstance(first, dict), first
    assert isinstance(second, dict), second
    apart = [name for name in first if not torch.equal(first[name], second[name])]
    assert not apart, f"two processes end with different values of {apart[0]}"


def check_alone(method: Method, first: dict[str, torch.Tensor]) -> None:
    """Without batch statistics two processes end where one does that sees the whole batches."""
    model, shape = small_net(method)
    before = parameters(model)
    train(model, shape)
    alone = parameters(model)
    assert any(not torch.equal(before[name], alone[name]) for name in alone), "nothing was trained"
    if any(name.rsplit(".", 1)[-1].startswith("running_") for name, _ in model.named_buffers()):
        return
    for name in alone:
        torch.testing.assert_close(first[name], alone[name], rtol=1e-9, atol=1e-11, msg=lambda m, n=name: f"two processes: {n}: {m}")


def one_rank(rank: int, methods: list[tuple[str, Path]], folder: str) -> None:
    """Train with each method (name, folder); save {name: parameters, or the error} to folder/rank<rank>.pt."""
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # a rank that waits for ever says where
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # no look-up of this machine's name
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    done = {}
    for name, place in methods:
        try:
            model, shape = small_net(load_method(name, place))
            train(DistributedDataParallel(model), shape, rank, RANKS)
            done[name] = parameters(model)
        except Exception as error:  # one bad method must not hide what the others do
            done[name] = f"{type(error).__name__}: {error}"
    torch.save(done, Path(folder) / f"rank{rank}.pt")
    dist.destroy_process_group()
    faulthandler.cancel_dump_traceback_later()
