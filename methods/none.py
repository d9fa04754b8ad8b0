"""No normalization: y = x at every norm site.

The control. Weights keep the model's own initialization (He et al., arXiv:1502.01852, unless the
model says otherwise), branches are added as they are, and nothing keeps the signal in range.

x, y: any shape. A module stands at each norm site, so that the record shows what was removed.
"""

from dataclasses import dataclass

from torch import nn

CITE = "control; initialization of He et al., ICCV 2015, arXiv:1502.01852"


@dataclass(frozen=True, kw_only=True)
class Params:
    pass


def norm(site, p):
    return nn.Identity()


def reference(site, p, state, x):
    return x
