"""A site is a place in a model where a method may stand. Models name their sites; methods decide.

Torch-free: a site is a description, not a module.
"""

from dataclasses import dataclass

KINDS = ("norm", "join", "weight", "activation", "bias")
LAYOUTS = {"NCHW": 1, "NCTHW": 1, "NLC": -1}  # layout -> the dimension that holds the channels
ROLES = ("stem", "branch", "shortcut", "plain", "head")
NEIGHBORS = ("input", "weight", "norm", "activation", "join", "pool", "output")


@dataclass(frozen=True)
class Site:
    """One place in a model.

    kind: norm, join, weight, activation or bias.
    name: dotted and unique in the model, "layer1.0.norm1".
    features: channels of the tensor at this site (for a weight: its output channels).
    layout: NCHW, NCTHW or NLC.
    k, depth: block k of depth, 1-based, for every site inside a residual block; k of depth weight
        layers for the weights of a plain network; None elsewhere.
    role: stem, branch, shortcut, plain (a plain network's body) or head (after the last block).
    position, length: this weight (or what stands directly around it) is number `position`, 0-based,
        of the `length` weight layers of its branch.
    follows, precedes: the kind of neighbor in the order of the forward pass, nothing standing at
        the sites between counted: a norm that precedes "join" is the last of its branch.
    stage, stage_k: stage number, 0-based, and the block's number in it, 1-based. A block with
        stage_k == 1 whose shortcut is a projection is a transition.
    transition: True inside a block whose shortcut is a projection.
    version: 1 for blocks that activate after the join, 2 for pre-activation, None for others.
    """

    kind: str
    name: str
    features: int
    layout: str
    k: int | None = None
    depth: int | None = None
    role: str | None = None
    position: int | None = None
    length: int | None = None
    follows: str | None = None
    precedes: str | None = None
    stage: int | None = None
    stage_k: int | None = None
    transition: bool = False
    version: int | None = None

    def __post_init__(self):
        for field, value, known in (
            ("kind", self.kind, KINDS),
            ("layout", self.layout, tuple(LAYOUTS)),
            ("role", self.role, (None, *ROLES)),
            ("follows", self.follows, (None, *NEIGHBORS)),
            ("precedes", self.precedes, (None, *NEIGHBORS)),
        ):
            if value not in known:
                raise ValueError(f"site {self.name!r}: {field} must be one of {known}, got {value!r}")

    @property
    def channel_dim(self) -> int:
        """The dimension that holds the channels: 1, or -1 where channels come last."""
        return LAYOUTS[self.layout]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a per-channel vector that broadcasts at this site: (1, C, 1, 1) or (C,)."""
        if self.layout == "NLC":
            return (self.features,)
        return (1, self.features) + (1,) * (len(self.layout) - 2)

    @property
    def reduce_dims(self) -> tuple[int, ...]:
        """All dimensions but the channels': what batch statistics are taken over."""
        return tuple(d for d in range(len(self.layout)) if d != self.channel_dim % len(self.layout))
