"""Number formats of a training: autocast with a scaler, or every operation's result rounded to half precision."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

FORMATS = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def set_arithmetic(threads: int) -> None:
    """How this process computes: reproducibly, on so many threads, subnormal numbers as zero.

    Activations of a deep network without normalization (or their gradients) shrink below 1e-38. A CPU takes
    five to eight times as long for an operation on such numbers, which no GPU does and no verdict hangs on.
    """
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    # As torch.use_deterministic_algorithms does, which imports the compiler to tell it: more than a second in front of every job.
    torch.set_deterministic_debug_mode("warn")
    os.environ["TORCHINDUCTOR_DETERMINISTIC"] = "1"
    if compiler := sys.modules.get("torch._inductor.config"):
        compiler.deterministic = True
    torch.utils.deterministic.fill_uninitialized_memory = False  # a guard for debugging, at a fifth of a small network's time


class Rounded(TorchDispatchMode):
    """Every operation's floating result, forward and backward, is rounded to `dtype` and kept in its own type.

    This is what arithmetic in half precision throughout gives when each operation accumulates in
    single precision and stores its result in half: values beyond the range become infinite, those below it zero.
    """

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        aliases = [r.alias_info for r in func._schema.returns]
        if any(a is not None and not a.is_write for a in aliases):
            return result  # a view of what is rounded already
        in_place = any(a is not None for a in aliases)
        return tree_map(lambda value: self._round(value, in_place), result)

    def _round(self, value, in_place: bool):
        if not isinstance(value, torch.Tensor) or value.dtype not in (torch.float32, torch.float64):
            return value
        rounded = value.to(self.dtype).to(value.dtype)
        return value.copy_(rounded) if in_place else rounded


class Precision:
    """The contexts of one step.

    forward(): around the forward pass and the loss. backward(): around backward. scaler: for float16
    gradients, which would underflow unscaled; a no-op elsewhere.
    """

    LOSS_SCALE = 2.0**10  # static, for emulated float16: small enough not to overflow the loss itself

    def __init__(self, precision: str, device: torch.device):
        kind, _, name = precision.rpartition("_")
        self.device, self.kind = device, kind
        self.dtype = FORMATS.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "amp_float16" and device.type == "cuda")
        self.loss_scale = self.LOSS_SCALE if precision == "emulated_float16" else 1.0

    def forward(self) -> AbstractContextManager:
        if self.kind == "amp":
            return torch.autocast(self.device.type, dtype=self.dtype)
        return self.backward()

    def backward(self) -> AbstractContextManager:
        return Rounded(self.dtype) if self.kind == "emulated" else nullcontext()
