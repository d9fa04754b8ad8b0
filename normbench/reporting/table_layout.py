"""A table in the paper's shape: published and measured in columns of their own, marks and footnotes for what a reader must know.

Marks: numbers for what a row's runs had and its baseline's had not, letters a, b, ... for the sources of published numbers, S, C
and I for the verdicts of claims that read a cell, and a dagger where no seed learned anything.
"""

from dataclasses import dataclass, field
from functools import cached_property
from statistics import median_low
from typing import Any

from normbench.analysis.results import TRAINED_BY, Measured, guessing, metric_of
from normbench.config.papers import Paper, Row, Table
from normbench.config.tasks import recipe_fields
from normbench.core.formatting import decimals, number

KINDS = {"verbatim": "Published, verbatim", "digitised": "≈ read off a figure", "derived": "Derived from published numbers"}
LETTERS = {"supported": "S", "contradicted": "C", "inconclusive": "I"}
DAGGER = "†"
Place = tuple[str, str]  # row key, column key


@dataclass
class Shaped:
    """cells: (row key, column key) -> tables.Cell. verdicts: claim -> verdict, empty where nobody judged yet."""

    paper: Paper
    table: Table
    rows: dict[str, Row]
    cells: dict[Place, Any]
    measured: Measured
    verdicts: dict[str, str] = field(default_factory=dict)

    def caption(self) -> str:
        """What was measured here, on what, and how the cells read."""
        metrics = sorted({(c.metric or self.table.metric).replace("_", " ") for c in self.table.columns.values()})
        note = f" {self.table.note}" if self.table.note else ""
        return f"{', '.join(metrics)}. {self._what_ran()} Published numbers are the paper's, at its own scale.{note}"

    def _what_ran(self) -> str:
        tier = f"the {self.measured.tier} tier"
        if not any(cell.n for cell in self.cells.values()):
            return f"Nothing of this was measured at {tier}."
        settings = "; ".join(sorted({self._setting(arm) for arm in self._arms().values()}))
        return f"Measured at {tier}{f' ({settings})' if settings else ''}: mean ± half of the 95% interval over n seeds."

    def published(self, place: Place) -> tuple[str, str]:
        """(the number as it was published, the mark of its source)."""
        cell = self.cells[place]
        text = ("≈ " if cell.published_kind == "digitised" else "") + published_text(cell)
        return text, self._sources.get((cell.published_kind, cell.published_source), "") if cell.published else ""

    def measured_here(self, place: Place) -> tuple[str, list[str]]:
        """(the number, its marks)."""
        cell, digits = self.cells[place], self._digits[place[1]]
        if cell.measured is not None and cell.low is not None and 0 < (half := (cell.high - cell.low) / 2) < 0.5 / 10**digits:
            digits = decimals(half, "")  # an interval is not to look like none
        marks = [DAGGER] if place in self._untrained else []
        return measured_text(cell, digits), marks + [LETTERS[v] for v in LETTERS if self._claims(place, v)]

    def footnotes(self) -> list[tuple[str, str]]:
        """(mark, what it means): of recipes, then sources, then what did not learn, then verdicts."""
        found = list(self.notes()[1].items())
        found += [(mark, f"{KINDS.get(kind, kind)}: {source}") for (kind, source), mark in self._sources.items()]
        if self._untrained:
            found.append((DAGGER, f"Not trained: no seed ended {TRAINED_BY:g} points above guessing"))
        for verdict, letter in LETTERS.items():
            claims = sorted({claim for place in self.cells for claim in self._claims(place, verdict)})
            if claims:
                found.append((letter, f"Read by claims that are {verdict}: {', '.join(claims)}"))
        return found

    @cached_property
    def _sources(self) -> dict[tuple[str, str], str]:
        """(kind, source) -> a letter, in the order of the cells."""
        pairs = dict.fromkeys((c.published_kind, c.published_source) for c in self.cells.values() if c.published)
        return {pair: chr(ord("a") + i % 26) * (1 + i // 26) for i, pair in enumerate(pairs)}

    @cached_property
    def _digits(self) -> dict[str, int]:
        """column -> decimals of its measured numbers: what most of its intervals deserve, alike for the whole column."""
        digits = {}
        for column in self.table.columns:
            known = [c for (_, name), c in self.cells.items() if name == column and c.measured is not None]
            unit = "%" if known and self._unit(known[0]) == "%" else ""
            wanted = [decimals((c.high - c.low) / 2 if c.low is not None else 0, unit, (c.measured,)) for c in known]
            digits[column] = min(4, median_low(wanted)) if wanted else 1
        return digits

    def _unit(self, cell: Any) -> str:
        return metric_of(self.measured.status(cell.arm)[0].task, cell.metric).unit

    @cached_property
    def _untrained(self) -> set[Place]:
        """Cells with a mean in which no seed ended `TRAINED_BY` points above guessing."""
        found = set()
        for place, cell in self.cells.items():
            if cell.measured is None:
                continue
            one = self.measured.status(cell.arm)[0]
            told = metric_of(one.task, cell.metric)
            chance = guessing(told, one.task, one.dataset) if told.unit == "%" else None
            sign = -1 if told.direction == "lower" else 1
            if chance is not None and all(sign * (v - chance) < TRAINED_BY for v in self.measured.finished(cell.arm, cell.metric)):
                found.add(place)
        return found

    def _claims(self, place: Place, verdict: str) -> list[str]:
        """The claims of this verdict that read the cell's arm; none where nothing ran."""
        if not self.cells[place].n:
            return []
        row, column = place
        arm = self.rows[row].arms.get(column)
        return [claim for claim, arms in self._readers.items() if arm in arms and self.verdicts.get(claim) == verdict] if arm else []

    @cached_property
    def _readers(self) -> dict[str, set[str]]:
        """claim -> the arms that it is about."""
        claims = [claim for claim in self.paper.claims if claim.kind == "claim"]
        return {claim.id: {operand.arm for test in claim.tests for operand in test.about()} for claim in claims}

    def _setting(self, arm: str) -> str:
        spec = self.measured.plan.arms[arm]
        recipe = spec.recipe
        batch = recipe_fields(spec.task).batch_size(recipe)
        if recipe.get("epochs"):
            budget = f"{recipe['epochs']:g} epochs"
        else:
            budget = f"{recipe['steps']} steps" if recipe.get("steps") else "a batch"
        return f"{spec.dataset}, {budget} of {batch}" if batch else spec.dataset

    def _arms(self) -> dict[Place, str]:
        return {key: c.arm for key, c in self.cells.items() if c.arm and c.arm in self.measured.plan.arms}

    def notes(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """(row -> marks, mark -> note): what a row's runs had that its baseline's, in the same column, had not."""
        baseline = self.table.guests or next(iter(self.rows))
        arms = self._arms()
        marks: dict[str, list[str]] = {}
        notes: dict[str, str] = {}
        for name in self.rows:
            told = {}
            for column in self.table.columns:
                if (name, column) in arms and (baseline, column) in arms:
                    ours, theirs = (self.measured.plan.arms[arms[row, column]] for row in (name, baseline))
                    found = recipe_fields(ours.task).differences(ours.recipe, theirs.recipe)
                    differs = [f"{word} {_value(our)} against {_value(their)}" for word, our, their in found]
                    if differs:
                        told[self.table.columns[column].title] = ", ".join(differs)
            for note in dict.fromkeys(told.values()):
                where = [title for title, n in told.items() if n == note]
                text = note if len(where) == len(self.table.columns) else f"{', '.join(where)}: {note}"
                mark = next((m for m, n in notes.items() if n == text), str(len(notes) + 1))
                notes[mark] = text
                marks.setdefault(name, []).append(mark)
        return marks, notes


def published_text(cell) -> str:
    return cell.published or "–"


def measured_text(cell, digits: int = 1) -> str:
    """A measured cell: 71.0 ± 2.5 (n 3); not trainable, where every seed diverged; why, where nothing ran."""
    if cell.measured is None:
        if cell.status == "diverged":
            return f"not trainable (n {cell.n}, all diverged)"
        return f"{cell.status} (n {cell.n})" if cell.n else "–" if cell.status == "published only" else cell.status
    half = f" ± {number((cell.high - cell.low) / 2, digits)}" if cell.low is not None else ""
    lost = f", {cell.status.removeprefix('measured ')}" if cell.status != "measured" else ""
    return f"{number(cell.measured, digits)}{half} (n {cell.n}{lost})"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
