"""The page to read:  python -m normbench.reporting.report --root build/quick --output build/quick/report.html

One file with everything in it: no script, no font, no picture from elsewhere. It needs the tier's claims.csv, parquet
files and figures.
"""

import argparse
import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from normbench.analysis.results import Measured
from normbench.core.command import command
from normbench.core.files import whole_file
from normbench.planning.marks import write_mark
from normbench.reporting.page.content import content
from normbench.reporting.page.provenance import cost, provenance
from normbench.reporting.summary import read_claims


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--library", type=Path, help="the plotting library, as normbench.reporting.page.packed writes it")
    parser.add_argument("--done", type=Path, help="the mark that says what was made (normbench/planning/marks.py)")
    args = parser.parse_args()
    page = render(args.root, args.library and args.library.read_text(encoding="ascii"))
    with whole_file(args.output, "w") as file:
        file.write(page)
    write_mark(args.done, args.root, [args.output])


def render(root: Path, library: str | None = None) -> str:
    """The page of the tier at `root`. library: the packed plotting library, else put together here."""
    measured, claims = Measured.read(root), read_claims(root / "claims.csv")
    environment = Environment(
        loader=PackageLoader("normbench.reporting"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("report.html.jinja")
    return template.render(**content(root, measured, claims, library), origin=provenance(measured.runs), cost=cost(root, measured.runs))


if __name__ == "__main__":
    sys.exit(main())
