"""SkipInit: y = x + alpha_k f_k(x), alpha_k a scalar, and no normalization.

x, f_k(x), y: activations of one shape, the skip and the branch of block k of d.
alpha_k: shape (), learned, one for each block, at the end of its branch. `alpha` is its first value: a
    number, or "1/sqrt(d)" with d the number of residual blocks. The paper asks for at most 1/sqrt(d)
    and recommends 0; 1 is its control. With `learnable` False it stays a constant.

The paper released no code for its networks. Convolutions keep the model's initialization and have no bias;
`regularized_skipinit` has.
"""

import math
from dataclasses import dataclass

from normbench.hooks.residual import ScaledSum

CITE = "De and Smith, NeurIPS 2020, arXiv:2002.10444"
VARIANTS = [{"alpha": "1/sqrt(d)"}, {"alpha": 1.0, "learnable": False}]


@dataclass(frozen=True, kw_only=True)
class Params:
    alpha: float | str = 0.0
    learnable: bool = True

    def __post_init__(self):
        number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool) and math.isfinite(self.alpha)
        if not number and self.alpha != "1/sqrt(d)":
            raise ValueError(f"alpha must be a number or '1/sqrt(d)', got {self.alpha!r}")
        if self.alpha == 0 and not self.learnable:
            raise ValueError("alpha must differ from 0 where learnable is false: no branch could ever take part, got 0")


def _alpha(site, p):
    return 1 / math.sqrt(site.depth) if p.alpha == "1/sqrt(d)" else float(p.alpha)


def join(site, p):
    if p.learnable:
        return ScaledSum(site, gain="scalar", init=_alpha(site, p))
    return ScaledSum(site, branch_scale=_alpha(site, p))


def refuse(site, p):
    return "SkipInit scales residual branches, and a plain network has none" if site.role == "plain" else None


def reference(site, p, state, skip, branch):
    alpha = state["gain"] if p.learnable else (site.depth**-0.5 if p.alpha == "1/sqrt(d)" else p.alpha)
    return skip + alpha * branch
