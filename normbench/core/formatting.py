"""Numbers as a reader wants them: rounded to what their interval can tell, with their unit."""

import math
from collections.abc import Iterable, Sequence

BARE = ("", "fraction", "ratio")  # units that a sentence leaves out


def decimals(half: float, unit: str, values: Iterable[float] = (), bounds: Iterable[float] = ()) -> int:
    """How many decimals numbers with the half-width `half` deserve: one digit of it, two where it starts with 1 or 2.

    Without a half-width, three digits of the smallest of `values`. More where rounding would put a value on the
    wrong side of a bound, or onto it.
    """
    values, bounds = list(values), [b for b in bounds if math.isfinite(b)]
    digits = 1 if unit == "%" else 0
    if half > 0:
        first = math.floor(math.log10(half))
        digits = max(digits, -first + (half / 10**first < 3))
    elif unit != "%":
        digits = max([2 - math.floor(math.log10(abs(v))) for v in values if v] + [0])
    while digits < 6 and any(_moved(v, b, digits) for v in values for b in bounds):
        digits += 1
    return digits


def _moved(value: float, bound: float, digits: int) -> bool:
    return round(value, digits) == round(bound, digits) and not math.isclose(value, bound, abs_tol=1e-9)


def number(value: float, digits: int, plus: bool = False) -> str:
    """`value` with `digits` decimals, in powers of ten where it is too large or too fine for that; `plus` marks positive ones."""
    text = f"{value:.3g}" if digits > 6 or abs(value) >= 1e6 else f"{value:,.{digits}f}"
    text = text.removeprefix("-") if not float(text.replace(",", "")) else text
    return f"+{text}" if plus and float(text.replace(",", "")) > 0 else text


def amount(value: float, unit: str, digits: int) -> str:
    """A value with its unit: 91.3%, 0.42 nats, 0.12."""
    return number(value, digits) + ("%" if unit == "%" else "" if unit in BARE else f" {unit}")


def rounded(value: float, unit: str) -> str:
    """A value of which nothing is known but itself, with its unit, to three digits (a percentage to one decimal)."""
    return amount(value, unit, decimals(0, unit, (value,)))


def gap(value: float, unit: str, digits: int, plus: bool = False) -> str:
    """A difference of values with its unit: percentages differ by points."""
    return number(value, digits, plus) + _gap_unit(unit, number(value, digits))


def exactly(value: float, unit: str) -> str:
    """A margin as it was written: 1 point, 0.5 points."""
    return f"{value:g}" + _gap_unit(unit, f"{value:g}")


def _gap_unit(unit: str, text: str) -> str:
    if unit == "%":
        return " point" if text == "1" else " points"
    return "" if unit in BARE else f" {unit}"


def p_value(p: float) -> str:
    """p 0.012, p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}" if p < 0.1 else f"p {p:.2f}"


def joined(words: Sequence[str]) -> str:
    """a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def counted(n: int, what: str) -> str:
    """1 seed, 3 seeds."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def listed(text: str) -> list[str]:
    """The names in a user's list of them, with blanks or commas between."""
    return text.replace(",", " ").split()
