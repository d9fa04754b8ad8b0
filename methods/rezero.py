"""ReZero: y = x + alpha_k F_k(x), alpha_k = 0 at first, and no normalization.

x, F_k(x), y: activations of one shape, the skip and the branch of block k.
alpha_k: shape (), learned, one for each block (in a transformer: for each of a layer's two branches).

The equation is that of SkipInit with alpha 0, found at the same time. The released transformer shares one
alpha between the attention and the feed-forward branch of a layer; here each join has its own.
"""

from dataclasses import dataclass

from normbench.hooks.residual import ScaledSum

CITE = "Bachlechner et al., UAI 2021, arXiv:2003.04887"


@dataclass(frozen=True, kw_only=True)
class Params:
    pass


def join(site, p):
    return ScaledSum(site, gain="scalar", init=0.0)


def refuse(site, p):
    return "ReZero scales residual branches, and a plain network has none" if site.role == "plain" else None


def reference(site, p, state, skip, branch):
    return skip + state["gain"] * branch
