"""What a user reads when the input is wrong: one sentence with the place, the value and what would do."""

import difflib
import sys
from collections.abc import Iterable
from functools import cache


class InputError(ValueError):
    """A mistake in a file or a value that a user wrote; printed as one sentence, exit code 1."""


def unknown(place: str, what: str, got: str, known: Iterable[str]) -> InputError:
    """`place` (a file and key) has `got`, which is no `what`: say what exists and the nearest name."""
    known = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(got), known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(known[:40]) + (f" and {len(known) - 40} more" if len(known) > 40 else "") if known else "none"
    return InputError(f"{place}: {got!r} is no {what}{hint} (known: {shown})")


@cache
def warn(sentence: str) -> None:
    """Say on stderr, once a process, what is left out or done otherwise and why."""
    print(f"warning: {sentence}", file=sys.stderr)
