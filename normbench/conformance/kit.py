"""The conformance kit: what every method file has to hold, whatever it computes.

Each check takes a Method and raises AssertionError with one telling sentence; `check_method` runs all
of them and returns what failed. Methods are tried on the specimens of `normbench.conformance.cases` and in
the small networks of `normbench.conformance.nets`. `pytest -k my_norm` runs the same on methods/my_norm.py.
"""

import dataclasses
from collections.abc import Callable

from normbench.conformance.autograd import check_compile, check_gradients
from normbench.conformance.cases import refusals, specimens
from normbench.conformance.modules import (
    check_batch_independence,
    check_evaluation,
    check_half_precision,
    check_reference,
    check_state,
)
from normbench.conformance.nets import check_groups, check_network
from normbench.hooks.methods import STANDING, Method, read_method


def check_file(method: Method) -> None:
    """The file cites, says the equation, and its Params are frozen, keyword-only and have literal defaults."""
    file = read_method(method.name, method.path.parent)
    assert ":" in file.title or "=" in file.title, f"the docstring begins with {file.title!r}; a name and an equation would do"
    assert any(c.isdigit() for c in file.cite), f"CITE = {file.cite!r} has no year or number by which the paper can be found"
    assert dataclasses.asdict(method.params()) == file.params, "Params() differs from the defaults that are written in the file"
    for hook in STANDING:
        if hook in method.defined:
            _stands_or_says_why(method, hook)


def _stands_or_says_why(method: Method, kind: str) -> None:
    stands = {s.site.layout for s in specimens(method, every=True) if s.site.kind == kind}
    assert stands, f"{kind} is defined and puts a module nowhere: in no layout, place or parameter"
    for (_, layout), sentence in ((k, v) for k, v in refusals(method, method.params()).items() if k[0] == kind):
        said = isinstance(sentence, str) and len(sentence.split()) > 2
        assert said, f"refuse answers {sentence!r} for {kind} sites in {layout}; a sentence that says why would do"


CHECKS: dict[str, Callable[[Method], None]] = {
    "file": check_file,
    "reference": check_reference,
    "gradients": check_gradients,
    "evaluation": check_evaluation,
    "batch_independence": check_batch_independence,
    "half_precision": check_half_precision,
    "state": check_state,
    "compile": check_compile,
    "groups": check_groups,
    "network": check_network,
}


def check_method(method: Method) -> list[str]:
    """All checks on one method: a sentence "<check>: <what is wrong>" for each that failed, [] where none did."""
    failures = []
    for name, check in CHECKS.items():
        try:
            check(method)
        except Exception as error:
            failures.append(f"{name}: {error if isinstance(error, AssertionError) else repr(error)}")
    return failures
