"""NormBench: does this network need its normalization?

The library that the tasks share. It knows no task and no method by name, and importing it imports
no torch: what needs torch is imported where it is used. docs/architecture.md shows its packages.
"""

from normbench.hooks.methods import load_method

__all__ = ["load_method"]
