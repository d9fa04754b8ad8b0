"""What is wrong with a recipe, found while planning. Torch-free."""

from normbench.config.spec import ArmSpec
from normbench.config.tasks import read_task
from normbench.core.errors import InputError, unknown
from tasks.coco.recipe import SCRATCH


def check_recipe(arm: ArmSpec) -> None:
    """Raises InputError where nothing can have learned the weights that the recipe starts from."""
    weights, classified = arm.recipe["weights"], read_task("imagenet").datasets
    if weights == SCRATCH:
        return
    if weights not in classified:
        raise unknown("weights", "dataset of the imagenet task", weights, [SCRATCH, *classified])
    if classified[weights].embedded and not arm.recipe["pretrain_steps"]:
        raise InputError(f"pretrain_steps: 0 steps on {weights}, which is made and learned here, teach nothing; 1 or more would do")
