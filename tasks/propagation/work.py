"""What measuring an untrained network costs. Torch-free."""

from normbench.config.cost_model import Work, image_work
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset

PASS = 6  # layers of a training step that a layer with all its hooks takes as long as
DOUBLE = 2  # what double precision takes over single
SHARE = 0.05  # of what a training spends on building, probing and evaluating


def work(arm: ArmSpec, data: Dataset) -> Work:
    """One pass that reads everything, as many as there are power iterations more, or the steps of a trajectory."""
    recipe = arm.recipe
    layers, macs = image_work(arm.model, data.pixels)
    macs *= recipe["batch_size"]
    if recipe["measure"] == "trajectory":
        return Work(layers, DOUBLE * macs, recipe["steps"], share=SHARE)
    return Work(PASS * layers, DOUBLE * macs, 1 + recipe["power_iterations"], share=SHARE)
