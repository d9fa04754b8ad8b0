"""What every command of the package does: a user's error is one sentence on the terminal, and other libraries' debug lines are none."""

import sys
from collections.abc import Callable
from functools import wraps

from normbench.core.errors import InputError
from normbench.core.logs import without_debug_lines


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """`main` as a command: its exit code, 0 where it returns none, and 1 with one sentence on stderr where it raises InputError."""

    @wraps(main)
    def run() -> int:
        without_debug_lines()
        try:
            return main() or 0
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    return run
