"""What the library may know of a task's recipes: which fields are the batch, a GPU's share, and so on. Torch-free.

A task whose recipes are those of normbench.config.recipe needs to say nothing; one with a recipe.py of its own says in task.yaml under
`recipe_fields` what differs. The budget of a run that trains is `epochs` or `steps` in every task.
"""

from math import prod
from typing import Any

from normbench.core.errors import unknown
from normbench.core.schema import Strict

SHARED_WORDS = {
    "lr": "learning rate",
    "optimizer": "optimizer",
    "batch_size": "batch size",
    "epochs": "epochs",
    "steps": "steps",
    "weight_decay": "weight decay",
    "decay": "decay of",
    "schedule": "schedule",
    "warmup": "warmup",
    "mixup": "mixup",
    "label_smoothing": "label_smoothing",
    "drop_fc": "dropout",
    "drop_conv": "dropout of channels",
    "precision": "precision",
}


class RecipeFields(Strict):
    """Names of recipe fields, by what they mean; a field that a recipe has not counts as not said.

    model: what a model is built from; None: it may be any of them. batch: those whose product is the size of a step's batch, in
    `batch_unit` where it counts something else than samples.
    step, share: GPUs divide a step's `step` into equal parts of `share`; share None: of one each.
    paired: what has to agree for two runs of one seed to see the same data in the same order.
    words: {field: its name in a sentence}, what a table tells of an arm that differs there from its baseline, in this order.
    """

    model: list[str] | None = None
    batch: list[str] = ["batch_size"]
    batch_unit: str = ""
    step: str = "batch_size"
    share: str | None = "device_batch_size"
    paired: list[str] = ["batch_size", "epochs", "steps", "augment"]
    words: dict[str, str] = SHARED_WORDS

    def check(self, place: str, known: dict[str, Any]) -> None:
        """Every field that was said to mean something exists; known: the recipe's fields."""
        said = {name: getattr(self, name) for name in self.model_fields_set - {"batch_unit"}}
        for key, names in said.items():
            for name in [names] if isinstance(names, str) else names or ():
                if name not in known:
                    raise unknown(f"{place}: recipe_fields.{key}", "field of the task's recipes", name, known)

    def gpus(self, recipe: dict[str, Any], most: int) -> int:
        """How many GPUs share a step of the recipe evenly, at most `most`: one where the recipe says no share."""
        whole, part = recipe.get(self.step, 1), recipe.get(self.share) if self.share else 1
        return next((n for n in range(most, 1, -1) if part and whole % (n * part) == 0), min(most, 1))

    def batch_size(self, recipe: dict[str, Any]) -> str:
        """A step's batch in words: 64, or 28,672 tokens; "" where the recipe has none."""
        found = [recipe[name] for name in self.batch if name in recipe]
        if not found:
            return ""
        return f"{prod(found):,} {self.batch_unit}" if self.batch_unit else str(prod(found))

    def differences(self, ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """[(word, our value, their value), ...] of the fields that a reader is told of."""
        return [(word, ours[k], theirs.get(k)) for k, word in self.words.items() if k in ours and ours[k] != theirs.get(k)]
