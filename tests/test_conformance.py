"""The conformance kit on every file of methods/: `pytest -k my_norm` runs it on methods/my_norm.py."""

import pytest

from normbench.conformance.cases import specimens
from normbench.conformance.kit import CHECKS
from normbench.conformance.nets import NETS, small_nets
from normbench.hooks.methods import load_method, method_names
from normbench.hooks.sites import KINDS, LAYOUTS

pytestmark = pytest.mark.slow

NAMES = method_names()


@pytest.mark.parametrize("check", list(CHECKS))
@pytest.mark.parametrize("name", NAMES)
def test_conforms(name, check):
    CHECKS[check](load_method(name))


def test_every_kind_layout_and_network_is_tried():
    """The kit itself looks everywhere: no kind of site, layout or network is left out by all methods."""
    methods = [load_method(name) for name in NAMES]
    sites = {(s.site.kind, s.site.layout) for method in methods for s in specimens(method, every=False)}
    assert sites == {(kind, layout) for kind in KINDS for layout in LAYOUTS}
    assert {label for method in methods for label, *_ in small_nets(method)} == set(NETS)
