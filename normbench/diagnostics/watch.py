"""A network measured on one held-out batch before its training and after it."""

from typing import Any

from torch import Tensor, nn

from normbench.diagnostics.probes import dead_fraction, join_probes, reading, signal_probes
from normbench.diagnostics.propagation import measure

# What the untrained network already tells, so that it can be held against what came of it.
INIT_METRICS = ("penultimate_cosine_similarity", "first_layer_gradient_norm", "gradient_ratio", "variance_ratio")


class Watch:
    """What is measured of `model` on x and its labels y (N,); made before the training, once the method has calibrated.

    metrics: name -> value, of the task's declared ones. probes: rows for probes.parquet. what: options of `propagation.measure`.
    """

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, **what: Any):
        self._model, self._x = model, x
        with reading(model, "init") as self.probes:
            before = measure(model, x, y, **what).metrics
        self.metrics = {name: before[name] for name in INIT_METRICS if name in before}
        self._note_dead("init", "dead_fraction_init")
        self._norm = kernel_norm(model)

    def after(self) -> None:
        """Measure the trained network: its signal, its joins, its dead units, and how far its kernels grew."""
        self.probes += signal_probes(self._model, self._x, "end") + join_probes(self._model)
        self._note_dead("end", "dead_fraction")
        self.metrics["weight_norm_ratio"] = kernel_norm(self._model) / self._norm

    def _note_dead(self, when: str, metric: str) -> None:
        if (dead := dead_fraction(self.probes, when)) is not None:
            self.metrics[metric] = dead


def kernel_norm(model: nn.Module) -> float:
    """The Euclidean norm of all convolutions' kernels together."""
    return float(sum(p.detach().double().square().sum() for p in model.parameters() if p.ndim > 2) ** 0.5)
