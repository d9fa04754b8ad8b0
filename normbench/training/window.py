"""What a training keeps of its last steps, and when it has left the numbers that a training can have."""

import math

import torch
from torch import Tensor

CURVE_POINTS = 50  # windows over which the training curves are averaged
EXPLODED = 1e4  # nats: a training loss beyond this is a divergence, although it is still finite


class Window:
    """Loss and accuracy of the steps since the last point of the curve, kept on the device until read."""

    def __init__(self, size: int):
        self.size, self.checked = size, 0
        self.loss: list[Tensor] = []
        self.right: list[Tensor] = []

    def add(self, loss: Tensor, right: Tensor) -> None:
        self.loss.append(loss)
        self.right.append(right)

    def is_full(self) -> bool:
        return len(self.loss) == self.size

    def first_bad(self) -> tuple[int, float] | None:
        """How many steps ago (0: the last) the loss first left the numbers that a training can have, and what it was."""
        values = torch.stack(self.loss[self.checked :]).tolist()
        for i, value in enumerate(values):
            if not -math.inf < value <= EXPLODED:
                return len(values) - 1 - i, value
        self.checked = len(self.loss)
        return None

    def take(self) -> tuple[float, float]:
        """Mean loss and mean accuracy; the window is empty afterwards."""
        means = [float(torch.stack(values).mean()) for values in (self.loss, self.right)]
        self.loss, self.right, self.checked = [], [], 0
        return means[0], means[1]

    def state_dict(self) -> dict:
        return {"loss": self.loss, "right": self.right}

    def load_state_dict(self, state: dict) -> None:
        self.loss, self.right, self.checked = list(state["loss"]), list(state["right"]), 0
