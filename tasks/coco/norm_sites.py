"""Where a method's norms stand in a pyramid and in heads that a framework builds, and what the record says of all sites.

A framework asks for a norm by its number of channels (torchvision's norm_layer, detectron2's get_norm); the Builder wants
a site. In these parts the method has the norms, and the activations behind them; weights, biases and initialization are
the framework's.
"""

from collections.abc import Iterable
from typing import Any

from torch import nn

from normbench.hooks.builder import Builder, Placed, what_stands
from normbench.hooks.methods import Method
from normbench.hooks.sites import Site
from tasks.coco.backbone import Backbone


class NormSites:
    """The norm sites of one part, handed out in the order in which the framework asks; called with a width, it gives the norm.

    names: of the convolutions in that order. precedes: what follows each norm, "activation" or "weight".
    `stand` says whether anything stands there: where nothing does, a convolution keeps its bias.
    """

    def __init__(self, part: str, names: Iterable[str], method: Method, params: Any, *, precedes: str, asked: bool):
        self.part, self.names, self.method, self.params = part, list(names), method, params
        self._build = Builder(method, params).at(part, role="head", follows="weight")
        self._asked, self._next = asked, iter(self.names)
        self._where = {"precedes": precedes}

    @property
    def sites(self) -> list[Placed]:
        return self._build.sites

    def stand(self, width: int) -> bool:
        """Whether the method puts norms here; if not, the record gets empty sites. Raises Refused where it cannot stand."""
        if not self.names:
            return False
        if self._asked:
            first = Builder(self.method, self.params).at(self.part, role="head", follows="weight")
            if not isinstance(first.norm(f"{self.names[0]}.norm", width, **self._where), nn.Identity | None):
                return True
        for name in self.names:
            site = Site("norm", f"{self.part}.{name}.norm", width, "NCHW", role="head", follows="weight", **self._where)
            self.sites.append(Placed(site, None, False))
        return False

    def __call__(self, width: int) -> nn.Module:
        return self._build.norm(f"{next(self._next)}.norm", width, **self._where)

    def activation(self, name: str, width: int, act: nn.Module) -> nn.Module:
        """What stands at the activation behind the norm of convolution `name`."""
        return self._build.activation(f"{name}.act", width, act, follows="norm", precedes="weight")


def pyramid_places(levels: Iterable[int], method: Method, params: Any, asked: bool) -> NormSites:
    """Two convolutions a level, in the order in which both frameworks build them."""
    names = [f"{kind}{level}" for level in levels for kind in ("lateral", "output")]
    return NormSites("fpn", names, method, params, precedes="weight", asked=asked)


def head_places(part: str, convs: int, method: Method, params: Any, asked: bool) -> NormSites:
    """The convolutions of box_head or mask_head, each with an activation."""
    return NormSites(part, [f"conv{i + 1}" for i in range(convs)], method, params, precedes="activation", asked=asked)


def finish(detector: nn.Module, backbone: Backbone, places: list[NormSites]) -> nn.Module:
    """Let the method initialize what stands in pyramid and heads, and attach the list of all sites."""
    outside = [placed for one in places for placed in one.sites]
    method, params = places[0].method, places[0].params
    method.initialize(detector, outside, params)
    detector.sites, detector.method, detector.method_params = backbone.sites + outside, method, params
    return detector


def sites_for_the_record(detector: nn.Module, backbone: Backbone) -> list[dict[str, Any]]:
    """One row a site; of a norm site that has no norm "nothing", behind what is kept as it is ", frozen"."""
    rows = what_stands(detector.sites)
    for row, placed in zip(rows, detector.sites, strict=True):
        if placed.site.kind == "norm" and not placed.changed:
            row["stands"] = "nothing"
        elif placed.module is not None and backbone.is_frozen(placed.module):
            row["stands"] += ", frozen"
    return rows
