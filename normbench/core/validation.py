"""Ranges of a method's parameters: each check raises ValueError with the name, the range and what was received."""

import math


def within(name: str, value: float, low: float, high: float) -> None:
    """value lies in the closed interval [low, high]."""
    if not (_is_number(value) and low <= value <= high):
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value!r}")


def positive(name: str, value: float) -> None:
    """value is finite and above 0."""
    if not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"{name} must be above 0, got {value!r}")


def not_negative(name: str, value: float) -> None:
    """value is finite and 0 or above."""
    if not (_is_number(value) and 0 <= value < math.inf):
        raise ValueError(f"{name} must be 0 or above, got {value!r}")


def at_least(name: str, value: int, least: int) -> None:
    """value is a whole number from `least` up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number from {least} up, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
