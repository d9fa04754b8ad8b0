"""What a backbone learned before: the weights of our own classifier with the same method, on a dataset of the imagenet task.

A user's are made by tasks/coco/pretrain.py and lie in FOLDER/backbones/<id>.pt of --config data=FOLDER, where runs find them by
what they are: dataset, backbone, method and parameters. On an embedded dataset a run makes what it needs itself, in seconds.
"""

import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from normbench import load_method
from normbench.config.recipe import Recipe as Classification
from normbench.config.spec import ArmSpec, digest, model_label
from normbench.core.errors import InputError, unknown
from normbench.execution.task_api import Context
from normbench.hooks.methods import read_method
from normbench.models import build_model
from normbench.training.checkpoint import Checkpoints
from normbench.training.classification import evaluate, mixer
from normbench.training.loop import Training, fit
from tasks.coco.design import read_design
from tasks.coco.recipe import Recipe
from tasks.coco.samples import MEAN, STD
from tasks.imagenet import data as images

SEED = 0  # of the pretraining: there is one classifier for all runs, as the field has it
EVERY = 600.0  # seconds between its checkpoints


def backbone_weights(arm: ArmSpec, recipe: Recipe, context: Context) -> dict[str, Tensor]:
    """The classifier's state for the arm's backbone. Raises InputError where it is neither there nor made here."""
    design = read_design(arm.model)
    if recipe.weights not in images.DATASETS:
        raise unknown("weights", "dataset of the imagenet task", recipe.weights, images.DATASETS)
    kept = classifier_file(context.data, recipe.weights, design.backbone, arm.method, arm.params, recipe.pretrain_steps)
    state = kept.load(context.device)
    if state is None and recipe.weights in images.EMBEDDED:
        short = Classification(steps=recipe.pretrain_steps, batch_size=64, lr=0.1, weight_decay=1e-4, schedule="cosine", warmup=0.1)
        train_classifier(kept, recipe.weights, design.backbone, arm.method, arm.params, short, context.data, context.device)
        state = kept.load(context.device)
    if state is None:
        command = f"python -m tasks.coco.pretrain --model <model> --method {arm.method} --dataset {recipe.weights} --recipe <recipe>"
        raise InputError(
            f"{kept.path}: the weights of a classifier with {arm.method} are not there; `{command} --params '{json.dumps(arm.params)}' "
            f"--data {context.data}` trains one, or set weights: scratch"
        )
    return state["model"]


def classifier_file(folder: Path, dataset: str, backbone: dict, method: str, params: dict, steps: int) -> Checkpoints:
    """The file of a classifier; where a user trained it, however long, steps is 0."""
    identity = {"dataset": dataset, "backbone": backbone, "method": method, "params": params}
    if dataset in images.EMBEDDED:
        identity |= {"steps": steps, "code": read_method(method).sha256}
    label = model_label({"family": "resnet", **backbone})
    return Checkpoints(folder / "backbones" / f"{dataset}-{label}-{method}-{digest(identity)[:10]}.pt", digest(identity), EVERY)


def train_classifier(
    kept: Checkpoints, dataset: str, backbone: dict, method: str, params: dict, recipe: Classification, data: Path, device: torch.device
) -> None:
    """Train a classifier and keep its weights; its images are normalized as the detector's will be."""
    folder, chosen = data / dataset, load_method(method)
    if dataset in images.EMBEDDED:
        images.make(dataset, folder)
    torch.manual_seed(SEED)
    model = build_model(
        {"family": "resnet", **backbone},
        chosen,
        chosen.params(**params),
        num_classes=images.num_classes(dataset),
        in_shape=images.in_shape(dataset),
    ).to(device)
    shared = {"batch_size": recipe.batch_size, "seed": SEED, "augment": recipe.augment, "device": device}

    def batches(start: int):
        if dataset not in images.EMBEDDED:
            return iter(images.train_batches(dataset, folder, start_step=start, **shared))
        split = dataclasses.replace(images.load(dataset, folder, "train"), mean=MEAN, std=STD)
        return iter(images.Batches(split, start_step=start, **shared))

    epoch_steps = images.train_batches(dataset, folder, **shared).steps_per_epoch
    first = [x for x, _ in (next(source) for source in [batches(0)] for _ in range(recipe.calibration_batches))]
    model.method.calibrate(model, model.sites, model.method_params, first)
    job = Training(
        model=model,
        recipe=recipe,
        device=device,
        total_steps=recipe.total_steps(epoch_steps),
        epoch_steps=epoch_steps,
        batches=batches,
        evaluate=lambda network: _scores(network, dataset, folder, device),
        mix=mixer(recipe, SEED),
        checkpoints=Checkpoints(kept.path.with_suffix(".unfinished"), kept.identity, EVERY),
    )
    trained = fit(job)
    if trained.status != "finished":
        raise InputError(
            f"{kept.path}: the classifier with {method} diverged at step {trained.step}, so that there are no weights to start from"
        )
    kept.save({"model": {name: value.cpu() for name, value in model.state_dict().items()}})
    job.checkpoints.remove()


def _scores(network: torch.nn.Module, dataset: str, folder: Path, device: torch.device) -> dict[str, float]:
    """Accuracy of the classifier, said on the way; embedded ones are small change and say nothing."""
    if dataset in images.EMBEDDED:
        return {}
    scores = evaluate(network, images.eval_batches(dataset, folder, batch_size=256, device=device))
    print(f"{dataset}: {scores['test_top1']:.1f}% test top1", file=sys.stderr)
    return scores
