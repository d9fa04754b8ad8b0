"""The tiers' names and their order: what one affords, the higher ones do too."""

from typing import Literal

TIERS = ("tiny", "quick", "laptop", "gpu", "paper")
RANK = {"tiny": 0, "quick": 0, "laptop": 1, "gpu": 2, "paper": 3}  # tiny runs what quick runs, to try the line out: it shows nothing
Tier = Literal["tiny", "quick", "laptop", "gpu", "paper"]


def reached(start: str, tier: str) -> bool:
    """Whether `tier` affords what starts at `start`."""
    return RANK[start] <= RANK[tier]
