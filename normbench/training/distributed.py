"""Processes that train one network together: who they are is torchrun's to say, and what they agree on stands here.

In one process nothing of torch.distributed is touched, and each function returns what it was given.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Processes:
    """rank: of this process, of `size` in all; local: its place on its node, and the GPU that is its own."""

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0


def from_torchrun() -> Processes:
    """Who this process is by torchrun's variables; alone where there are none, whatever a scheduler's say."""
    rank, size, local = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
    return Processes(rank, size, local)


@contextlib.contextmanager
def together(processes: Processes, device: torch.device) -> Iterator[None]:
    """Inside, the processes can talk: over NCCL where each has a GPU, over gloo elsewhere."""
    if processes.size == 1:
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=processes.rank, world_size=processes.size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def mean(values: Tensor) -> Tensor:
    """The mean of `values` over the processes, the same on each."""
    if (size := world_size()) > 1:
        dist.all_reduce(values)
        values /= size
    return values


def summed(values: list[float], device: torch.device) -> list[float]:
    """The sums of numbers over the processes, in float64."""
    if world_size() == 1:
        return values
    total = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def any_of(flags: list[bool], device: torch.device) -> list[bool]:
    """Whether each flag is up in any process; all learn the same, and act at the same step."""
    return [count > 0 for count in summed([float(flag) for flag in flags], device)]


def as_the_first(model: nn.Module) -> None:
    """The first process's running statistics, for all: each had followed its own part of the batches."""
    if world_size() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, 0)


def gathered(state: Tensor, device: torch.device) -> list[Tensor]:
    """A tensor of every process, in the order of their ranks."""
    if world_size() == 1:
        return [state]
    found = [torch.empty_like(state, device=device) for _ in range(world_size())]
    dist.all_gather(found, state.to(device))
    return [tensor.cpu() for tensor in found]


def collected(value: Any, device: torch.device) -> list[Any]:
    """What every process has to say, in the order of their ranks; anything that JSON can hold."""
    if world_size() == 1:
        return [value]
    content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    sizes = [int(size) for size in gathered(torch.tensor([len(content)]), device)]
    padded = torch.zeros(max(sizes), dtype=torch.uint8)  # of equal size, as gathering wants it
    padded[: len(content)] = content
    return [json.loads(bytes(part[:size].numpy())) for part, size in zip(gathered(padded, device), sizes, strict=True)]


def wait_for_all() -> None:
    """Until every process is here."""
    if world_size() > 1:
        dist.barrier()
