"""Errors are tested by the facts in them (file, key, value, what would do), so that a better wording breaks nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from normbench.core.errors import InputError


def names(text: str, *facts: object) -> None:
    """`text` is one sentence (one line) that holds each of the facts, in upper or lower case."""
    assert text.strip() and "\n" not in text.strip(), f"not one sentence: {text!r}"
    left_out = [str(fact) for fact in facts if str(fact).lower() not in text.lower()]
    assert not left_out, f"{text!r} does not name {left_out}"


@contextmanager
def mistake(*facts: object) -> Iterator[None]:
    """What is done inside ends with an InputError of one sentence that names the facts."""
    with pytest.raises(InputError) as error:
        yield
    names(str(error.value), *facts)
