"""What is wrong with a recipe, found while planning: `augment` depends on how the dataset's images are kept. Torch-free."""

from normbench.config.spec import ArmSpec
from normbench.core.errors import unknown
from tasks.images.augments import FOLDER, IN_MEMORY, OF_FOLDERS


def check_recipe(arm: ArmSpec) -> None:
    """Raises InputError where the dataset's images cannot be augmented so."""
    known = OF_FOLDERS if arm.dataset == FOLDER else IN_MEMORY
    if arm.recipe["augment"] not in known:
        raise unknown("augment", f"augmentation of the dataset {arm.dataset}", arm.recipe["augment"], known)
