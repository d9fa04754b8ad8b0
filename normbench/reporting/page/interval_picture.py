"""A test's outcome as a small picture: effect and 95% interval on a scale of their own unit, and the stretch where the claim holds."""

import math
from dataclasses import dataclass
from html import escape

from normbench.claims.kinds import Test
from normbench.claims.outcomes import Outcome
from normbench.core.formatting import decimals, number

WIDTH, LEFT, RIGHT = 460, 12, 448
MIDDLE, BASE = 20, 34  # of the interval, and of the scale below it


@dataclass(frozen=True)
class Scale:
    """Where values lie on the picture; log: by their ratios."""

    low: float
    high: float
    log: bool

    def x(self, value: float) -> float:
        place, low, high = (math.log(v) for v in (value, self.low, self.high)) if self.log else (value, self.low, self.high)
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, (place - low) / (high - low)))


def interval_picture(test: Test, outcome: Outcome) -> str:
    """An SVG element, "" where the outcome has no number. What it shows is in its label too."""
    if outcome.effect is None or not math.isfinite(outcome.effect):
        return ""
    where, ends = test.holds(), [v for v in (outcome.low, outcome.high) if v is not None]
    marks = [*(v for v in where or () if math.isfinite(v)), *test.scale.marks]
    known = [outcome.effect, *ends, *marks]
    log = test.scale.log and min(known) > 0 and max(known) / min(known) > 10
    scale, share = _scale([*known, *test.scale.reaches], log), test.scale.share
    digits = decimals((ends[1] - ends[0]) / 2 if ends else 0, outcome.unit, known)
    words = _words(outcome, where, digits, share)
    parts = [f'<svg class="interval" role="img" viewBox="0 0 {WIDTH} 52" width="{WIDTH}" height="52" aria-label="{escape(words)}">']
    if where:
        left, right = (scale.x(max(scale.low, min(scale.high, v))) for v in where)
        parts.append(f'<rect class="holds" x="{left:.1f}" y="8" width="{max(right - left, 3):.1f}" height="24"/>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{RIGHT}" y1="{BASE}" y2="{BASE}"/>')
    parts += [f'<line class="margin" x1="{scale.x(v):.1f}" x2="{scale.x(v):.1f}" y1="6" y2="{BASE}"/>' for v in sorted(set(marks))]
    if ends:
        parts.append(f'<line class="range" x1="{scale.x(ends[0]):.1f}" x2="{scale.x(ends[1]):.1f}" y1="{MIDDLE}" y2="{MIDDLE}"/>')
    parts.append(f'<circle class="effect" cx="{scale.x(outcome.effect):.1f}" cy="{MIDDLE}" r="4.5"/>')
    parts += _ticks(scale, sorted(set(marks)), [outcome.effect, *ends], digits, share)
    return "".join(parts) + "</svg>"


def _scale(values: list[float], log: bool) -> Scale:
    low, high = min(values), max(values)
    if log:
        pad = (high / low) ** 0.06
        return Scale(low / pad, high * pad, True)
    pad = 0.06 * ((high - low) or 1.0)
    return Scale(low - pad, high + pad, False)


def _ticks(scale: Scale, marks: list[float], numbers: list[float], digits: int, share: bool) -> list[str]:
    """The margins' numbers below the scale, then the effect's and the interval's where there is room left."""
    taken: list[tuple[float, float]] = []
    parts = []
    for kind, values in (("tick", marks), ("tick own", numbers)):
        for value in values:
            text = f"{value:.0%}" if share else f"{value:g}" if kind == "tick" else number(value, digits)
            half = 3.6 * len(text) + 3
            x = min(max(scale.x(value), half), WIDTH - half)
            if all(x + half < a or x - half > b for a, b in taken):
                taken.append((x - half, x + half))
                parts.append(f'<text class="{kind}" x="{x:.1f}" y="48">{escape(text)}</text>')
    return parts


def _words(outcome: Outcome, where: tuple[float, float] | None, digits: int, share: bool) -> str:
    def told(value: float) -> str:
        return f"{value:.0%}" if share else number(value, digits)

    text = f"effect {told(outcome.effect)}"
    if outcome.low is not None and outcome.high is not None:
        text += f", 95% interval {told(outcome.low)} to {told(outcome.high)}"
    if where is None:
        return text
    low, high = where
    if low == high:
        return f"{text}; the claim holds at {told(low)}"
    stretch = f"above {low:g}" if math.isinf(high) else f"below {high:g}" if math.isinf(low) else f"from {low:g} to {high:g}"
    return f"{text}; the claim holds {stretch}"
