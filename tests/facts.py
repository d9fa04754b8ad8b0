"""Errors are tested by the facts in them (file, key, value, what would do), so that a better wording breaks nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from normbench.core.errors import InputError


def names(text: str, *facts: object) -> None:
    """`text` is one sentence (one line) that holds each of the facts, in upper or lower case unless a quote begins it."""
    assert text.strip() and "\n" not in text.strip(), f"not one sentence: {text!r}"
    left_out = [fact for fact in map(str, facts) if not _holds(text, fact)]
    assert not left_out, f"{text!r} does not name {left_out}"


def _holds(text: str, fact: str) -> bool:
    return fact in text if fact.startswith("'") else fact.lower() in text.lower()


def replaced(text: str, old: str, new: str) -> str:
    """`text` with `new` where `old` stood first."""
    assert old in text, f"there is no {old!r}"
    return text.replace(old, new, 1)


@contextmanager
def mistake(*facts: object) -> Iterator[None]:
    """What is done inside ends with an InputError of one sentence that names the facts."""
    with pytest.raises(InputError) as error:
        yield
    names(str(error.value), *facts)
