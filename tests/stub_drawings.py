"""Stands for the figures and the page where a test is about publishing them: what it writes hangs on the runs and verdicts that it saw."""

import argparse
import hashlib
from pathlib import Path

import polars as pl


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    runs = pl.read_parquet(args.root / "runs.parquet").fill_nan(None).write_csv()
    seen = hashlib.sha256(runs.encode() + (args.root / "claims.csv").read_bytes()).hexdigest()
    if args.output:
        args.output.write_text(f"<p>{seen}</p>\n", encoding="utf-8")
    else:
        (args.root / "figures").mkdir()
        (args.root / "figures" / "figures.json").write_text(f'["{seen}"]\n', encoding="utf-8")


if __name__ == "__main__":
    main()
