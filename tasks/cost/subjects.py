"""What is timed: a norm alone or a network, one training step of it in phases, and the bytes that a norm has to move."""

import inspect
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normbench.config.recipe import Recipe as Training
from normbench.core.errors import InputError
from normbench.hooks.builder import Placed, Refused
from normbench.hooks.methods import Method
from normbench.models import build_model
from normbench.models.design import arguments
from normbench.training.optimizer import make_optimizer
from tasks.cost import data
from tasks.cost.memory import peak_bytes, saved_bytes
from tasks.cost.recipe import Recipe
from tasks.cost.timing import Phases
from tasks.cost.transformer import FAMILY, transformer

INSIDE = ("branch", "plain")  # roles of norms that are neither at the beginning nor at the end of a model
LR = 1e-6  # an update takes as long at any rate, and at this one the network stays what it was
FORWARD_PASSES, BACKWARD_PASSES = 3, 5


class Step:
    """One training step: forward (and loss), backward, update (clipping, SGD with momentum, freeing gradients).

    run: x -> y or the loss; gradient: of y, None where run gives a loss. module: what has the parameters.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor | None, module: nn.Module, finish: Callable[[], None]):
        self.run, self.x, self.gradient, self.module, self.finish = run, x, gradient, module, finish
        self.out: Tensor | None = None

    def forward(self) -> None:
        self.out = self.run(self.x)

    def backward(self) -> None:
        self.out.backward(self.gradient)

    def update(self) -> None:
        self.finish()
        self.x.grad = self.out = None

    def phases(self) -> Phases:
        return {"forward": self.forward, "backward": self.backward, "update": self.update}

    def whole(self) -> None:
        for phase in self.phases().values():
            phase()

    def memory(self) -> int:
        """Bytes: the peak of a step on a GPU; on a CPU what is saved for the backward pass."""
        if self.x.device.type == "cuda":
            return peak_bytes(self.whole, self.x.device)
        return saved_bytes(lambda: self.run(self.x), [*self.module.parameters(), *self.module.buffers()])


def network_of(model: dict, method: Method, params: object, recipe: Recipe) -> nn.Module:
    """The model with the method in it; raises Refused where it cannot stand, or where the layer to be timed would be missing."""
    model = {key: value for key, value in model.items() if key != "baseline"}
    if model.get("family") == FAMILY:
        return _transformer_of(model, method, params, recipe)
    network = build_model(model, method, params, num_classes=data.CLASSES, in_shape=recipe.shape(data.CHANNELS))
    if recipe.subject == "layer":
        norm_inside(network)
    return network


def _transformer_of(model: dict, method: Method, params: object, recipe: Recipe) -> nn.Module:
    """The encoder over pixels^2 tokens."""
    if recipe.subject != "network" or recipe.frames:
        raise InputError(f"recipe: a {FAMILY} is timed with subject: network and without frames")
    given = {key: value for key, value in model.items() if key != "family"}
    arguments(FAMILY, given, inspect.signature(transformer).parameters.keys() - {"method", "params", "num_classes"})
    network = transformer(method=method, params=params, num_classes=data.CLASSES, **given)
    network.sample_shape = (recipe.pixels**2, network.fc.in_features)
    return network


def norm_inside(network: nn.Module) -> Placed:
    """The first norm inside the network."""
    placed = next((p for p in network.sites if p.site.kind == "norm" and p.site.role in INSIDE), None)
    if placed is None:
        raise Refused("the model has no norm site inside, so that there is no layer to time")
    if placed.module is None or isinstance(placed.module, nn.Identity):
        site = placed.site
        raise Refused(f"{network.method.short} puts no norm at {site.name} ({site.features} features): there is no layer to time")
    return placed


def step_of(network: nn.Module, recipe: Recipe, seed: int, device: torch.device) -> Step:
    """One step of the network, or of the norm inside it; the same x for the same seed."""
    network = network.to(device).train()
    if recipe.subject == "network":
        sample = getattr(network, "sample_shape", recipe.shape(data.CHANNELS))
        x, y = data.noise((recipe.batch_size, *sample), seed, device), data.labels(recipe.batch_size, seed, device)
        module, gradient = network, None
        optimizer = make_optimizer(network, Training(steps=1, batch_size=recipe.batch_size, lr=LR))
    else:
        placed = norm_inside(network)
        x = data.noise((recipe.batch_size, *recipe.shape(placed.site.features)), seed, device).requires_grad_()
        module, gradient = placed.module, data.noise(tuple(x.shape), seed + 1, device)
        own = list(module.parameters())
        optimizer = torch.optim.SGD(own, lr=LR, momentum=0.9) if own else None
    called = torch.compile(module) if recipe.compiled else module

    def finish() -> None:
        if recipe.subject == "network":
            network.method.clip(network, network.sites, network.method_params)
        if optimizer is not None:  # a norm may have nothing to learn
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    run = (lambda x: F.cross_entropy(called(x), y)) if recipe.subject == "network" else called
    return Step(run, x, gradient, module, finish)


def roofline_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Bytes that batch norm has to move, forward and backward, over a tensor of `shape` that no cache holds: 8 times its size.

    Forward 3: x is read for its statistics, read again to be normalized, and y is written: the statistics of a channel are not known
    before all of it was read. Backward 5: x and the gradient of y are read for the two sums (of g and of g z), both are
    read again, and the gradient of x is written. Vectors of one value a channel are not counted.
    """
    return (FORWARD_PASSES + BACKWARD_PASSES) * math.prod(shape) * itemsize


def copy_of(x: Tensor) -> Phases:
    """Copying x, which reads it once and writes it once: how fast this memory is at this size."""
    source, target = x.detach(), torch.empty_like(x, requires_grad=False)
    return {"copy": lambda: target.copy_(source)}
