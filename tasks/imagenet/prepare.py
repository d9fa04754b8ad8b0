"""Making or checking the task's datasets. Torch is imported for the user's alone: making the digits must take no longer than it takes."""

from pathlib import Path

from tasks.images import embedded


def prepare(dataset: str, root: Path) -> str:
    """Make the embedded dataset, or check the user's; returns its hash. One sentence where it is missing or broken."""
    if dataset in embedded.RENDERINGS:
        return embedded.make(dataset, root / dataset)["data_sha256"]
    from tasks.imagenet import data

    data.check(dataset, root / dataset)
    return data.data_sha256(dataset, root / dataset)
