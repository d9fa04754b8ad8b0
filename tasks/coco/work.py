"""What a training step of a detector computes, roughly, for planning. Torch-free."""

from normbench.config.cost_model import Work, image_work
from normbench.config.spec import ArmSpec
from normbench.config.tasks import Dataset

POSITIVE = 0.25  # of the sampled boxes at most have an object, and go through the mask head
HELD_OUT = 0.25  # held-out images of COCO and of the digit scenes, as a share of the training images, at most
EVALUATION = 1.2  # forward passes that asking for one image costs
FIXED = 2.2  # times the layers' own time: anchors, matching, suppression and pooling, which are many small operations


def work(arm: ArmSpec, data: Dataset) -> Work:
    model, recipe = arm.model, arm.recipe
    width, side = model.get("fpn_width", 256), recipe["test_side"]
    backbone = {"family": "resnet", "stem": "imagenet", **{k: model[k] for k in ("depth", "layers", "block", "width") if k in model}}
    layers, macs = image_work(backbone, side)
    pyramid = 3 * 9 * width**2 * (side / 4) ** 2 * 4 / 3  # output, proposals and lateral convolutions over four levels
    box = model.get("box_convs", 0) * 9 * model.get("box_width", 256) ** 2 * 49 + 49 * width * model.get("box_fc_width", 1024)
    mask = (model.get("mask_convs", 4) + 1) * 9 * model.get("mask_width", 256) ** 2 * 196 if model["family"] == "mask_rcnn" else 0
    image = macs + pyramid + recipe["sampled_boxes"] * (box + POSITIVE * mask)
    layers += 12 + model.get("box_convs", 0) + model.get("mask_convs", 4)
    steps = recipe["steps"] or recipe["epochs"] * data.train / recipe["batch_size"]
    asked = (
        recipe["evaluations"] * min(5000, HELD_OUT * data.train) * EVALUATION / 3 / recipe["batch_size"]
    )  # a step is three passes over a batch
    return Work(FIXED * layers, FIXED * image * recipe["batch_size"], steps + asked)
