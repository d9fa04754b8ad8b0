"""What a network's signal does, layer by layer, on one batch: read by hooks, without changing the model."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from normbench.hooks.sites import Site

Probe = dict  # one row: layer, k, depth, quantity, value


def signal_probes(model: nn.Module, batch: Tensor, when: str) -> list[Probe]:
    """What `reading` sees of one forward pass of a batch (N, ...) in training mode, which leaves the model as it was."""
    with reading(model, when) as rows, untouched(model), torch.no_grad():
        model.train()
        model(batch)
    return rows


@contextlib.contextmanager
def reading(model: nn.Module, when: str) -> Iterator[list[Probe]]:
    """Rows, filled by a forward pass inside: variance of each block's output and share of dead units of each rectifier.

    when: "init" or "end"; quantities are variance_<when> and dead_fraction_<when>. A unit (channel) is dead when its
    activation is zero on the whole batch.
    """
    rows: list[Probe] = []

    def note(site: Site, quantity: str, read: Callable[[Site, Tensor], float]) -> Callable:
        return lambda module, inputs, output: rows.append(_row(site, f"{quantity}_{when}", read(site, output.detach())))

    hooks = {"join": ("variance", _variance), "activation": ("dead_fraction", dead_share)}
    standing = [p for p in model.sites if p.module is not None and p.site.kind in hooks]
    handles = [p.module.register_forward_hook(note(p.site, *hooks[p.site.kind])) for p in standing]
    try:
        yield rows
    finally:
        for handle in handles:
            handle.remove()


def _variance(_site: Site, output: Tensor) -> float:
    return float(output.double().var(correction=0))


def dead_share(site: Site, output: Tensor) -> float:
    """The share of channels that are zero on the whole batch."""
    dims = [d for d in range(output.ndim) if d != site.channel_dim % output.ndim]
    return float((output == 0).all(dim=dims).double().mean())


def join_probes(model: nn.Module) -> list[Probe]:
    """The learned multipliers of each join: mean and largest absolute value of its parameters."""
    rows = []
    for placed in model.sites:
        if placed.site.kind != "join" or placed.module is None:
            continue
        values = [p.detach().double().flatten() for p in placed.module.parameters()]
        if values:
            flat = torch.cat(values)
            rows.append(_row(placed.site, "join_parameter_mean", float(flat.mean())))
            rows.append(_row(placed.site, "join_parameter_max", float(flat.abs().max())))
    return rows


def dead_fraction(rows: list[Probe], when: str) -> float | None:
    """The share of dead units over all rectifiers, None where there is none; each layer counts by its mean."""
    values = [row["value"] for row in rows if row["quantity"] == f"dead_fraction_{when}"]
    return sum(values) / len(values) if values else None


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Whatever runs inside leaves buffers, mode and random generators as they were."""
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    modes = {m: m.training for m in model.modules()}
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=list(devices)):
        yield
    for name, b in model.named_buffers():
        b.copy_(buffers[name])
    for module, mode in modes.items():
        module.training = mode


def _row(site, quantity: str, value: float) -> Probe:
    return {"layer": site.name, "k": site.k, "depth": site.depth, "quantity": quantity, "value": value}
