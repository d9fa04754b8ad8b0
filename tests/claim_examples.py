"""A test of each kind, read as a paper's file is, for tests of what kinds know of themselves."""

from normbench.claims.kinds import Test
from normbench.core.schema import Strict, validated

COMPARED = {"a": "x", "b": {"arm": "y", "take": "best"}}
# every kind once: its fields, the arms that it reads, the metrics that it needs where the claim's is "top1"
EXAMPLES = {
    "better": (COMPARED, ["x", "y"], ["top1"]),
    "not_worse": ({**COMPARED, "margin": 2}, ["x", "y"], ["top1"]),
    "within": ({**COMPARED, "margin": 2, "metric": "loss"}, ["x", "y"], ["loss"]),
    "trainable": ({"arm": "x", "margin": 10}, ["x"], ["top1"]),
    "untrainable": ({"arm": "x", "control": "y", "margin": 10}, ["x", "y"], ["top1"]),
    "constant": ({"arm": "x", "quantity": "q", "ratio": 4}, ["x"], []),
    "growth": ({"arm": "x", "along": "lr", "exponent": 0.5, "tolerance": 0.1}, ["x"], ["top1"]),
    "monotone": ({"arms": ["x", "y"], "direction": "rising"}, ["x", "y"], ["top1"]),
    "correlated": ({"x": "p", "y": "q", "sign": "negative", "at_least": 0.3, "arms": ["x", "y"]}, ["x", "y"], ["p", "q"]),
    "equal": ({"a": "x", "b": "y", "quantity": "q", "rtol": 1e-9}, ["x", "y"], []),
    "reproduces": ({"arm": "x", "reported": {"table": "1"}, "tolerance": 1}, ["x"], ["top1"]),
    "figure": ({"arms": ["x", "y"], "quantity": "q", "along": "step"}, ["x", "y"], []),
}


class OneTest(Strict):
    """A file that holds nothing but a test."""

    test: Test


def read(**fields) -> Test:
    return validated(OneTest, {"test": fields}, "here").test
