"""Checks of a method inside whole small networks: what no single module can show.

`small_nets(method)` builds the same few networks for every method with the models of the tasks.
A method that cannot stand in one of them says why, and it has to stand in at least one.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from normbench.hooks.builder import Refused, what_stands
from normbench.hooks.methods import Method
from normbench.models import plain_cnn, resnet

CLASSES = 3
KEYS_OF_GROUPS = {"params", "lr_scale", "weight_decay"}
_residual = partial(resnet, layers=[1, 1], block="basic", stem="cifar", width=32, num_classes=CLASSES)
NETS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "residual network, version 2": (partial(_residual, version=2), (4, 3, 8, 8)),
    "residual network, version 1": (partial(_residual, version=1), (4, 3, 8, 8)),
    "residual network in 3D, version 2": (partial(_residual, version=2, dims=3), (4, 3, 2, 8, 8)),
    "plain network": (partial(plain_cnn, depth=10, width=32, num_classes=CLASSES), (4, 3, 8, 8)),
}


def small_nets(method: Method, params: Any = None) -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """(description, network, shape of a batch) for each network that the method does not refuse."""
    stood = False
    for label, (build, shape) in NETS.items():
        torch.manual_seed(0)
        try:
            model = build(method=method, params=params)
        except Refused as refusal:
            assert len(str(refusal).split()) > 8, f"refuses the {label} with {str(refusal)!r}; a sentence that says why would do"
            continue
        stood = True
        yield label, model, shape
    assert stood, f"refuses every network: {', '.join(NETS)}"


def batches(shape: tuple[int, ...], count: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """`count` random batches of inputs and classes."""
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randn(shape, generator=generator), torch.randint(CLASSES, (shape[0],), generator=generator)) for _ in range(count)]


def check_network(method: Method) -> None:
    """Small networks build, calibrate, train two steps and evaluate; every parameter takes part, all is finite."""
    for label, model, shape in small_nets(method):
        json.dumps(what_stands(model.sites))
        data = batches(shape, 2)
        _check_calibrate(method, model, [x for x, _ in data], label)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for x, target in data:
            optimizer.zero_grad()
            output = model(x)
            assert output.shape == (shape[0], CLASSES), f"{label}: the output has shape {tuple(output.shape)}"
            nn.functional.cross_entropy(output, target).backward()
            _check_gradients(model, label)
            _check_clip(method, model, label)
            optimizer.step()
        assert torch.isfinite(model.eval()(data[0][0])).all(), f"{label}: the output in evaluation is not finite"


def _check_calibrate(method: Method, model: nn.Module, inputs: list[Tensor], label: str) -> None:
    method.calibrate(model.train(), model.sites, model.method_params, inputs)
    assert model.training, f"{label}: calibrate leaves the model in evaluation mode"
    assert all(p.grad is None for p in model.parameters()), f"{label}: calibrate leaves gradients behind"
    frozen = [name for name, b in model.named_buffers() if b.requires_grad]
    assert not frozen, f"{label}: calibrate leaves the buffer {frozen[:1]} in a graph"


def _check_gradients(model: nn.Module, label: str) -> None:
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{label}: {name} takes no part in the output: it has no gradient"
            assert torch.isfinite(parameter.grad).all(), f"{label}: the gradient of {name} is not finite"


def _check_clip(method: Method, model: nn.Module, label: str) -> None:
    before = {name: p.grad.norm() for name, p in model.named_parameters() if p.grad is not None}
    method.clip(model, model.sites, model.method_params)
    for name, parameter in model.named_parameters():
        if name in before:
            assert torch.isfinite(parameter.grad).all(), f"{label}: clip makes the gradient of {name} not finite"
            assert parameter.grad.norm() <= before[name] * 1.0001, f"{label}: clip makes the gradient of {name} longer"


def check_groups(method: Method) -> None:
    """groups() names known keys, parameters of the model, and each parameter in one group at most."""
    for label, model, _ in small_nets(method):
        names, seen = {id(p): name for name, p in model.named_parameters()}, set()
        for group in method.groups(model, model.sites, model.method_params):
            unknown = set(group) - KEYS_OF_GROUPS
            assert not unknown, f"{label}: groups has the key {sorted(unknown)[0]!r}; known are {', '.join(sorted(KEYS_OF_GROUPS))}"
            assert group.get("lr_scale", 1.0) >= 0, f"{label}: groups has lr_scale {group['lr_scale']}; it cannot be negative"
            assert group.get("weight_decay", 0.0) >= 0, f"{label}: groups has weight_decay {group['weight_decay']}; it cannot be negative"
            for parameter in group.get("params", ()):
                assert id(parameter) in names, f"{label}: groups has a tensor that is no parameter of the model"
                assert id(parameter) not in seen, f"{label}: {names[id(parameter)]} stands in two groups"
                seen.add(id(parameter))
