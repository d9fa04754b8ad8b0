"""How much memory a step wants beyond its parameters: what autograd keeps for the backward pass, or the peak of a GPU."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(forward: Callable[[], Tensor], held: Iterable[Tensor] = ()) -> int:
    """Bytes that forward() leaves behind for its backward pass: each storage counts once and whole, those of `held` not at all.

    held: parameters and buffers, which are there in any case. A view keeps its whole storage alive, so that the storage is what counts.
    """
    free = {tensor.untyped_storage().data_ptr() for tensor in held}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in free:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor  # the graph holds it, so that no other storage can take its address before the count is over

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        out = forward()
    del out
    return sum(kept.values())


def peak_bytes(step: Callable[[], None], device: torch.device) -> int:
    """Bytes of a GPU that step() takes at its peak, above what was taken before it."""
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
