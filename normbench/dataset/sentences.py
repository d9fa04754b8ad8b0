"""What is wrong, in sentences: a few of each kind, and how many more there are. Torch-free."""

from collections.abc import Callable
from typing import Any

import polars as pl

SHOWN = 5  # of one kind of mistake; the others are counted


def some(frame: pl.DataFrame, sentence: Callable[[dict[str, Any]], str]) -> list[str]:
    """A sentence for each row, the first of them where there are many."""
    return cut([sentence(row) for row in frame.head(SHOWN).iter_rows(named=True)], len(frame))


def cut(sentences: list[str], total: int | None = None) -> list[str]:
    total = len(sentences) if total is None else total
    return [*sentences[:SHOWN], *([f"... and {total - SHOWN} more of this kind"] if total > SHOWN else [])]


def words(values: list) -> str:
    shown = [f"{value:.10g}" if isinstance(value, float) else str(value) for value in values]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"


def short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text or "not recorded"
