"""A clock that stands where a module has `time`, and moves only where a test lets it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Clock:
    now: float = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def slow(self, seconds: float, source: Callable[[int], Iterable[Any]]) -> Callable[[int], Iterator[Any]]:
        """Batches that come after so many seconds each."""

        def waited_for(start: int) -> Iterator[Any]:
            for found in source(start):
                self.now += seconds
                yield found

        return waited_for
