"""Starting a network of clips from one of images, as I3D does: each 2D kernel repeated over time and divided by its length.

J. Carreira and A. Zisserman, Quo vadis, action recognition?, arXiv:1705.07750, section 2.3. On a clip of one repeated picture
each convolution then gives, in the frames that its kernel lies within, what it gives on the picture.

build/weights/<name>.pt holds such 2D weights: {"format", "spec", "seed", "data_sha256", "metrics", "model"}. They come from
NormBench's own imagenet task, by `python -m tasks.kinetics.pretrain` (pretrain.py); nobody else's are taken.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from normbench.config.spec import ArmSpec
from normbench.core.errors import InputError, unknown
from normbench.core.schema import ROOT

FOLDER = ROOT / "build" / "weights"
FORMAT = 1
# What a model of clips says and one of images does not, or the other way round; a stem that does not fit is found by its shape.
_OWN = ("family", "temporal", "stem_temporal", "dims", "stem", "drop_fc", "drop_conv")


def check(name: str, arm: ArmSpec, folder: Path | None = None) -> None:
    """Raises InputError, one sentence, unless there are such weights, of the arm's method and of its model in two dimensions."""
    _read(name, arm, folder)


def inflate(model: nn.Module, name: str, arm: ArmSpec, folder: Path | None = None) -> dict[str, str]:
    """Put the weights `name` into `model`, but for the last layer; returns what the record says about it."""
    kept = _read(name, arm, folder)
    given, own = kept["model"], model.state_dict()
    head = {f"{p.site.name}." for p in model.sites if p.site.role == "head" and p.site.precedes == "output"}
    for key, value in own.items():
        if any(key.startswith(prefix) for prefix in head):
            continue
        if "parametrizations" in key:
            raise InputError(
                f"weights {name}: method {arm.method!r} rescales kernels, which repeating them over time would change; drop inflate"
            )
        if key not in given or (wider := inflated(given[key], value.shape)) is None:
            shape = f"has shape {tuple(given[key].shape)} there" if key in given else "is not there"
            raise InputError(f"weights {name}: {key} of the model {shape} and {tuple(value.shape)} here; the models differ")
        value.copy_(wider)
    return {"weights": f"{name}: {kept['spec']['dataset']}, seed {kept['seed']}, test_top1 {kept['metrics']['test_top1']:.2f}%, inflated"}


def inflated(kernel: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """(O, I, H, W) as (O, I, T, H, W), repeated over time and divided by T; what has the shape already, as it is; None for others."""
    if tuple(kernel.shape) == tuple(shape):
        return kernel
    if len(shape) != 5 or kernel.ndim != 4 or (*kernel.shape[:2], *kernel.shape[2:]) != (*shape[:2], *shape[3:]):
        return None
    return kernel[:, :, None].expand(shape) / shape[2]


def _read(name: str, arm: ArmSpec, folder: Path | None) -> dict[str, Any]:
    folder = folder or FOLDER
    path = folder / f"{name}.pt"
    if not path.is_file():
        raise unknown("recipe: inflate", f"file of {folder}", name, (p.stem for p in folder.glob("*.pt")))
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        fits = kept["format"] == FORMAT and kept["model"] and kept["spec"]
    except Exception:  # cut short or something else: torch raises many kinds
        fits = False
    if not fits:
        raise InputError(f"weights: {path} is cut short or none of ours; `python -m tasks.kinetics.pretrain` makes it again")
    for what, theirs, ours in (
        ("method", [kept["spec"]["method"], kept["spec"]["params"]], [arm.method, arm.params]),
        ("model", _shared(kept["spec"]["model"]), _shared(arm.model)),
    ):
        if theirs != ours:
            raise InputError(f"weights: {path} are of the {what} {theirs}, and the arm's is {ours}; train 2D weights of that one")
    return kept


def _shared(model: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key not in _OWN}
