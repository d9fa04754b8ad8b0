"""Train a classifier whose backbone detectors start from, on a GPU where there is one.

    python -m tasks.coco.pretrain --model mask_rcnn_r50 --method group_norm --dataset imagenet --recipe rescalenet_imagenet --data /datasets

model: of tasks/coco/task.yaml; recipe: of tasks/imagenet/task.yaml. Prints the file that it wrote (tasks/coco/pretrained.py).
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from normbench.config.recipe import Recipe as Classification
from normbench.config.tasks import read_task
from normbench.core.errors import InputError, unknown
from normbench.core.schema import validated
from normbench.hooks.builder import Refused
from normbench.hooks.methods import check_params, read_method
from normbench.training.precision import set_arithmetic
from tasks.coco.design import read_design
from tasks.coco.pretrained import classifier_file, train_classifier
from tasks.imagenet import data as images


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("model", "method", "dataset", "recipe"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--params", type=json.loads, default={}, help="of the method, as JSON")
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    set_arithmetic(torch.get_num_threads())
    try:
        models, recipes = read_task("coco").models, read_task("imagenet").recipes
        for what, name, known in (
            ("model", args.model, models),
            ("recipe", args.recipe, recipes),
            ("dataset", args.dataset, images.CLASSES),
        ):
            if name not in known:
                raise unknown(f"--{what}", what, name, known)
        params = check_params(read_method(args.method), args.params, "--params")
        recipe = validated(Classification, recipes[args.recipe], f"--recipe {args.recipe}")
        images.check(args.dataset, args.data / args.dataset)
        backbone = read_design(models[args.model]).backbone
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        kept = classifier_file(args.data, args.dataset, backbone, args.method, params, 0)
        train_classifier(kept, args.dataset, backbone, args.method, params, recipe, args.data, device)
    except (InputError, Refused) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(kept.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
