"""Clocks, and rounds in which those compared take turns, there and back: A B B A, A B B A, ...

A machine that is slow is slow for all of them. What slows down steadily within a round cancels, because the
mean moment of each in it is the same; what happens for once is an outlier of one round, and medians leave it out.
What is timed besides (a copy C) stands in front of every one, C A C B C B C A, so that all find the caches alike:
in A B C C B A the forward pass of B was seen to take 5% longer than that of an equal A.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Protocol

import torch

Phases = dict[str, Callable[[], None]]  # what one step consists of, in order
Times = dict[str, dict[str, list[float]]]  # participant -> phase -> seconds in each round
WHOLE = "step"


class Clock(Protocol):
    """mark(): this moment. between(a, b): seconds from mark a to mark b."""

    def mark(self) -> Any: ...

    def between(self, a: Any, b: Any) -> float: ...


class ProcessorClock:
    """Seconds of the processor spent by this process: on one thread the wall time of an idle machine, whatever else runs on this one."""

    mark = staticmethod(time.process_time)

    def between(self, a: float, b: float) -> float:
        return b - a


class WallClock(ProcessorClock):
    """Seconds that passed: on several threads processor time is their sum, and says nothing about how long one waits."""

    mark = staticmethod(time.perf_counter)


class DeviceClock:
    """Seconds on a GPU's stream. Marks are events between kernels, so that the phases of a step are not torn apart by waiting for each."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, a: torch.cuda.Event, b: torch.cuda.Event) -> float:
        b.synchronize()
        return a.elapsed_time(b) / 1000


def clock_of(device: torch.device, threads: int) -> Clock:
    if device.type == "cuda":
        return DeviceClock()
    return ProcessorClock() if threads == 1 else WallClock()


def order(compared: Iterable[str], before: str | None = None) -> list[str]:
    """The turns of one round."""
    there = list(compared)
    turns = [*there, *reversed(there)]
    return turns if before is None else [name for turn in turns for name in (before, turn)]


def interleaved(participants: dict[str, Phases], rounds: int, clock: Clock, before: str | None = None) -> Times:
    """Seconds of each phase, and of the whole step, in each round: the mean of its turns in it. before: the one in front of all others."""
    times: Times = {name: {phase: [] for phase in (*phases, WHOLE)} for name, phases in participants.items()}
    turns = order((name for name in participants if name != before), before)
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()  # or it would strike in the middle of somebody's step
    try:
        for _ in range(rounds):
            spent: dict[str, list[list[float]]] = {name: [] for name in participants}
            for name in turns:
                spent[name].append(_one(participants[name], clock))
            for name, each in spent.items():
                for phase, seconds in zip(times[name], zip(*each, strict=True), strict=True):
                    times[name][phase].append(statistics.fmean(seconds))
    finally:
        if collecting:
            gc.enable()
    return times


def _one(phases: Phases, clock: Clock) -> list[float]:
    """Seconds of each phase and of all."""
    marks = [clock.mark()]
    for phase in phases.values():
        phase()
        marks.append(clock.mark())
    whole = clock.between(marks[0], marks[-1])  # first, because this is the one that waits for a GPU to end
    return [*(clock.between(a, b) for a, b in pairwise(marks)), whole]


def ratio(own: list[float], baseline: list[float]) -> float:
    """The median over rounds of one's seconds over the other's in the same round."""
    return statistics.median(a / b for a, b in zip(own, baseline, strict=True))
