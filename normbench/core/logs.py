"""What other libraries log in our commands."""

import logging


def without_debug_lines() -> None:
    """Keep debug lines of every library off this process's output, also where one of them has set the root logger to let all through.

    A picture that is read costs PIL a dozen of them. What a command itself has to say it prints.
    """
    logging.disable(logging.DEBUG)
