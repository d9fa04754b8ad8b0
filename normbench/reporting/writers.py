"""A shaped table as Markdown and as LaTeX (booktabs, graphicx), with all of its footnotes."""

from normbench.reporting.table_layout import Shaped

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "#": r"\#",
    "$": r"\$",
    "^": r"\^{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "…": r"\ldots{}",
    "’": "'",
    "≈": r"$\approx$",
    "±": r"$\pm$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "√": r"$\surd$",
    "∞": r"$\infty$",
    "†": r"\textdagger{}",
}
NEEDS = "% needs \\usepackage{booktabs} and \\usepackage{graphicx}"


def markdown(shaped: Shaped) -> str:
    head = [""] + [part for c in shaped.table.columns.values() for part in (f"{c.title}, published", f"{c.title}, measured")]
    lines = ["| " + " | ".join(map(_cell, head)) + " |", "|" + " --- |" * len(head)]
    marks = shaped.notes()[0]
    for name, row in shaped.rows.items():
        values = [row.title + "".join(f"[{m}]" for m in marks.get(name, []))]
        for column in shaped.table.columns:
            published, source = shaped.published((name, column))
            measured, found = shaped.measured_here((name, column))
            values += [published + (f"[{source}]" if source else ""), measured + "".join(f"[{m}]" for m in found)]
        lines.append("| " + " | ".join(map(_cell, values)) + " |")
    footnotes = [f"[{mark}] {note}.\\" for mark, note in shaped.footnotes()]
    footnotes[-1:] = [line.removesuffix("\\") for line in footnotes[-1:]]
    return "\n".join([f"### {shaped.table.title}", "", *lines, "", shaped.caption(), *([""] if footnotes else []), *footnotes]) + "\n"


def latex(shaped: Shaped) -> str:
    columns = list(shaped.table.columns.values())
    head = " & ".join(["", *(f"\\multicolumn{{2}}{{c}}{{{tex(c.title)}}}" for c in columns)]) + r" \\"
    rules = " ".join(f"\\cmidrule(lr){{{2 * i + 2}-{2 * i + 3}}}" for i in range(len(columns)))
    second = " & ".join(["", *("published & measured" for _ in columns)]) + r" \\"
    lines = [
        NEEDS,
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{tex(f'{shaped.table.title}. {shaped.caption()}')}}}",
        f"\\label{{tab:{shaped.paper.key}-{shaped.table.id}}}",
        r"\par\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        f"\\begin{{tabular}}{{l{'rr' * len(columns)}}}",
        r"\toprule",
        head,
        rules,
        second,
        r"\midrule",
        *_body(shaped),
        r"\bottomrule",
        r"\end{tabular}}",
    ]
    footnotes = [f"{_raised(mark)} {tex(note)}." for mark, note in shaped.footnotes()]
    if footnotes:
        lines += [r"\par\smallskip", r"\begin{minipage}{\linewidth}\footnotesize\raggedright"]
        lines += [*(f"{line}\\\\" for line in footnotes[:-1]), footnotes[-1], r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def tex(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(_LATEX.get(character, character) for character in text)


def _body(shaped: Shaped) -> list[str]:
    marks, lines = shaped.notes()[0], []
    for name, row in shaped.rows.items():
        values = [tex(row.title) + _raised(*marks.get(name, []))]
        for column in shaped.table.columns:
            published, source = shaped.published((name, column))
            measured, found = shaped.measured_here((name, column))
            values += [tex(published) + _raised(source), tex(measured) + _raised(*found)]
        lines.append(" & ".join(values) + r" \\")
    return lines


def _raised(*marks: str) -> str:
    text = ",".join(mark for mark in marks if mark)
    return f"\\textsuperscript{{{tex(text)}}}" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
