"""The places in a model, under the name that users import: `normbench.sites.Site`."""

from normbench.hooks.sites import KINDS, Site

__all__ = ["KINDS", "Site"]
