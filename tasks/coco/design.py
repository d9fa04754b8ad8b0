"""What a detector consists of: a residual backbone of ours, a feature pyramid, and heads for boxes and masks."""

from dataclasses import dataclass, fields
from typing import Any

from normbench.core.errors import InputError, unknown
from normbench.models.design import whole

FAMILIES = ("mask_rcnn", "faster_rcnn")
BOX_POOL, MASK_POOL = 7, 14  # positions that a box is pooled to, in the box head and in the mask head


@dataclass(frozen=True, kw_only=True)
class Design:
    """A model of task.yaml: its own fields, and in `backbone` the arguments of normbench.models.resnet.

    family: mask_rcnn, or faster_rcnn, which has no mask head. fpn_width: channels of the pyramid.
    box_convs, box_width: 3x3 convolutions of the box head and their channels; box_fcs, box_fc_width: its linear layers.
    mask_convs, mask_width: the same of the mask head; the width is that of its upsampling layer too.
    norms: everywhere, or in the backbone alone (detectron2's baselines with frozen batch norm).
    """

    family: str
    fpn_width: int = 256
    box_convs: int = 0
    box_width: int = 256
    box_fcs: int = 2
    box_fc_width: int = 1024
    mask_convs: int = 4
    mask_width: int = 256
    norms: str = "everywhere"
    backbone: dict[str, Any]

    @property
    def masks(self) -> bool:
        return self.family == "mask_rcnn"

    @property
    def norms_in_heads(self) -> bool:
        return self.norms == "everywhere"


def read_design(model: dict[str, Any]) -> Design:
    """The design that a model of task.yaml or a tier describes; raises InputError for what cannot be built."""
    own = {field.name for field in fields(Design)} - {"backbone"}
    given = {key: value for key, value in model.items() if key in own}
    family = given.get("family")
    if family not in FAMILIES:
        raise unknown("model", "family of the coco task", str(family), FAMILIES)
    backbone = {key: value for key, value in model.items() if key not in own}
    if backbone.get("version", 1) != 1:
        raise InputError(
            f"model {family}: version must be 1, whose stages end in an activation as a pyramid wants, got {backbone['version']!r}"
        )
    design = Design(**given, backbone=backbone)
    for name in ("fpn_width", "box_width", "box_fcs", "box_fc_width", "mask_convs", "mask_width"):
        whole(family, name, getattr(design, name))
    whole(family, "box_convs", design.box_convs, least=0)
    if design.norms not in ("everywhere", "backbone"):
        raise unknown(f"model {family}: norms", "place of norms", design.norms, ("everywhere", "backbone"))
    return design
