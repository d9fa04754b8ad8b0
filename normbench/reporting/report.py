"""The page to read:  python -m normbench.reporting.report --root build/quick --output build/quick/report.html

One file with everything in it: no script, no font, no picture from elsewhere. It needs the tier's claims.csv, parquet
files and figures.
"""

import argparse
import sys
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from normbench.analysis.results import Measured
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.core.logs import without_debug_lines
from normbench.reporting.page.content import content
from normbench.reporting.page.provenance import cost, provenance
from normbench.reporting.summary import read_claims


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--library", type=Path, help="the plotting library, as normbench.reporting.page.packed writes it")
    args = parser.parse_args()
    without_debug_lines()
    try:
        page = render(args.root, args.library and args.library.read_text(encoding="ascii"))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    with whole_file(args.output, "w") as file:
        file.write(page)
    return 0


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
