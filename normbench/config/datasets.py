"""The datasets that a task.yaml declares. Apart from all else that planning reads of it, for what runs use this too. Torch-free."""

from pathlib import Path

from pydantic import Field

from normbench.core.schema import Strict, read_yaml, shown, validated


class Dataset(Strict):
    """embedded: made offline by the task; classes: how many, for the chance level; train: samples; pixels: of an image's side."""

    embedded: bool
    classes: int | None = Field(None, ge=2)
    train: int = Field(ge=1)
    pixels: int | None = Field(None, ge=1)
    says: str


def read_datasets(path: Path) -> dict[str, Dataset]:
    """The datasets of the task.yaml at `path`, without those that it borrows."""
    return {name: validated(Dataset, about, f"{shown(path)}: datasets.{name}") for name, about in read_yaml(path)["datasets"].items()}
