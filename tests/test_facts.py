"""The helper that asserts the facts of an error fails where a fact, the error or the one sentence is missing."""

from pathlib import Path

import pytest
from facts import mistake, names, replaced

from normbench.core.errors import InputError


def test_facts_are_found_in_any_order_and_case():
    names("data: /a/b.csv, line 2: Got 'x'", "line 2", Path("/a/b.csv"), "got 'X'")


@pytest.mark.parametrize(
    "text, fact", [("a.csv is missing", "b.csv"), ("a.csv\nis missing", "a.csv"), ("", ""), ("got 12", 13), ("got 'CITE'", "'cite'")]
)
def test_a_fact_that_is_left_out_or_a_second_line_fails(text, fact):
    with pytest.raises(AssertionError):
        names(text, fact)


def test_a_mistake_is_an_input_error_and_nothing_else():
    with mistake("a.csv"):
        raise InputError("a.csv is missing")
    with pytest.raises(AssertionError, match=r"b\.csv"), mistake("b.csv"):
        raise InputError("a.csv is missing")
    with pytest.raises(ValueError, match="another"), mistake("another"):
        raise ValueError("another")
    with pytest.raises(pytest.fail.Exception), mistake():
        pass


def test_what_is_to_be_replaced_must_be_there():
    assert replaced("a b a", "a", "c") == "c b a"
    with pytest.raises(AssertionError):
        replaced("a b a", "d", "c")
