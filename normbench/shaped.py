"""A table in the paper's shape, as Markdown and LaTeX: published and measured in columns of their own, footnotes for what differs."""

from dataclasses import dataclass
from typing import Any

from normbench.measured import Measured
from normbench.papers import Paper, Row, Table

# What a reader must be told where an arm had something else than its baseline in the same column.
TOLD = (
    "lr",
    "optimizer",
    "batch_size",
    "max_tokens",
    "epochs",
    "steps",
    "weight_decay",
    "decay",
    "schedule",
    "warmup",
    "mixup",
    "label_smoothing",
    "drop_fc",
    "dropout",
    "drop_conv",
    "precision",
)
WORDS = {
    "lr": "learning rate",
    "drop_fc": "dropout",
    "drop_conv": "dropout of channels",
    "batch_size": "batch size",
    "max_tokens": "tokens of a batch",
    "weight_decay": "weight decay",
    "decay": "decay of",
}
_LATEX = str.maketrans({"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "^": r"\^{}", "~": r"\~{}"})


@dataclass
class Shaped:
    """cells: (row key, column key) -> tables.Cell."""

    paper: Paper
    table: Table
    rows: dict[str, Row]
    cells: dict[tuple[str, str], Any]
    measured: Measured

    def markdown(self) -> str:
        head = [""] + [
            part for column in self.table.columns.values() for part in (f"{column.title}, published", f"{column.title}, measured")
        ]
        lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        marks, notes = self.notes()
        for name, row in self.rows.items():
            values = [row.title + "".join(f"[{m}]" for m in marks.get(name, []))]
            for column in self.table.columns:
                values += [published_text(self.cells[name, column]), measured_text(self.cells[name, column])]
            lines.append("| " + " | ".join(values) + " |")
        footnotes = [f"[{mark}] {note}." for mark, note in notes.items()]
        return "\n".join([f"### {self.table.title}", "", *lines, "", self.caption(), *footnotes]) + "\n"

    def latex(self) -> str:
        columns = self.table.columns.values()
        head = " & ".join(["", *(f"\\multicolumn{{2}}{{c}}{{{tex(c.title)}}}" for c in columns)]) + r" \\"
        second = " & ".join(["", *("published & measured" for _ in columns)]) + r" \\"
        marks, notes = self.notes()
        body = []
        for name, row in self.rows.items():
            values = [tex(row.title) + "".join(f"\\textsuperscript{{{m}}}" for m in marks.get(name, []))]
            for column in self.table.columns:
                values += [tex(published_text(self.cells[name, column])), tex(measured_text(self.cells[name, column]))]
            body.append(" & ".join(values) + r" \\")
        footnotes = [f"\\textsuperscript{{{mark}}} {tex(note)}." for mark, note in notes.items()]
        caption = tex(f"{self.table.title}. {self.caption()} ") + " ".join(footnotes)
        frame = "l" + "rr" * len(self.table.columns)
        lines = [
            r"\begin{table}",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{{frame}}}",
            r"\toprule",
            head,
            second,
            r"\midrule",
            *body,
        ]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"]) + "\n"

    def caption(self) -> str:
        """What was measured here, on what, and how the cells read."""
        settings = sorted({self._setting(arm) for arm in self._arms().values()})
        what = f"Measured at the {self.measured.tier} tier" + (f" ({'; '.join(settings)})" if settings else "")
        metrics = sorted({(c.metric or self.table.metric).replace("_", " ") for c in self.table.columns.values()})
        cells = "mean [95% interval], n the number of seeds"
        note = f" {self.table.note}" if self.table.note else ""
        return f"{', '.join(metrics)}. {what}: {cells}. Published numbers are the paper's, at its own scale.{note}"

    def _setting(self, arm: str) -> str:
        spec = self.measured.plan["arms"][arm]["spec"]
        recipe = spec["recipe"]
        batch = recipe["batch_size"] if "batch_size" in recipe else f"{recipe['max_tokens'] * recipe['update_freq']:,} tokens"
        if recipe.get("epochs"):
            return f"{spec['dataset']}, {recipe['epochs']:g} epochs of {batch}"
        return f"{spec['dataset']}, {recipe['steps']} steps of {batch}" if recipe.get("steps") else f"{spec['dataset']}, a batch of {batch}"

    def _arms(self) -> dict[tuple[str, str], str]:
        return {key: c.arm for key, c in self.cells.items() if c.arm and c.arm in self.measured.plan["arms"]}

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
                    ours, theirs = (self.measured.plan["arms"][arms[row, column]]["spec"]["recipe"] for row in (name, baseline))
                    differs = [
                        f"{WORDS.get(k, k)} {_value(ours[k])} against {_value(theirs[k])}" for k in TOLD if ours.get(k) != theirs.get(k)
                    ]
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


def measured_text(cell) -> str:
    if cell.measured is None:
        return f"{cell.status} (n {cell.n})" if cell.n else "–" if cell.status == "published only" else cell.status
    digits = 1 if abs(cell.measured) >= 10 else 3
    value = f"{cell.measured:.{digits}f}"
    interval = f" [{cell.low:.{digits}f}, {cell.high:.{digits}f}]" if cell.low is not None else ""
    lost = f", {cell.status}" if cell.status != "measured" else ""
    return f"{value}{interval} n {cell.n}{lost}"


def tex(text: str) -> str:
    return text.translate(_LATEX).replace("–", "--")


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
