"""What is wrong with a recipe, found while planning. Torch-free."""

from normbench.config.spec import ArmSpec
from normbench.config.tasks import read_task
from normbench.core.errors import InputError
from tasks.propagation.recipe import GAUSSIAN, LARGE, Recipe


def check_recipe(arm: ArmSpec) -> None:
    """Raises InputError where a batch of more images is wanted than the dataset has."""
    if arm.dataset == GAUSSIAN:
        return
    there, recipe = read_task("propagation").datasets[arm.dataset].train, Recipe(**arm.recipe)
    wanted = {"batch_size": recipe.batch_size, "calibration_samples": recipe.calibration_samples}
    if recipe.compare_calibration:
        wanted["compare_calibration"] = LARGE
    for key, samples in wanted.items():
        if samples > there:
            raise InputError(f"{key}: {samples} images are wanted, and {arm.dataset} has {there} to train on; at most {there} would do")
