"""A tier's results, as they are published:  python -m normbench.publish --root build/laptop --results results

Copies what build/<tier>/ holds into results/<tier>/, the whole folder at once, so that a reader never sees half of two versions.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

FILES = ("runs.parquet", "curves.parquet", "probes.parquet", "claims.csv", "report.html")
FOLDERS = ("tables", "figures")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    args = parser.parse_args()
    publish(args.root, args.results / args.root.name)
    print(f"published: {args.results / args.root.name}")
    return 0


def publish(root: Path, target: Path) -> None:
    """Put a copy of the tier's results in place of `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    for name in FILES:
        shutil.copyfile(root / name, fresh / name)
    for name in FOLDERS:
        shutil.copytree(root / name, fresh / name)
    fresh.chmod(0o755)
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)


if __name__ == "__main__":
    sys.exit(main())
