"""What every command of the package does with a user's error: one sentence on the terminal and the exit code 1."""

import sys
from collections.abc import Callable
from functools import wraps

from normbench.core.errors import InputError


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a command: its exit code, 0 where it returns none, and 1 with one sentence on stderr where it raises InputError."""

    @wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    return run
