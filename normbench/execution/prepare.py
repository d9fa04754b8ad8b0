"""Make an embedded dataset or check the user's.

python -m normbench.execution.prepare --data build/data --dataset digits32 --ready build/ready/digits32.json
"""

import argparse
import sys
from pathlib import Path

from normbench.config.tasks import load_preparer, owner_of
from normbench.core.errors import InputError
from normbench.core.files import write_json
from normbench.core.logs import without_debug_lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--ready", type=Path, required=True)
    args = parser.parse_args()
    without_debug_lines()
    try:
        data_sha256 = load_preparer(owner_of(args.dataset))(args.dataset, args.data)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        told = f"{args.dataset} needs {error.filename}, which may not be written or read; name another folder with --config data=FOLDER"
        print(f"error: {args.data}: {told}", file=sys.stderr)
        return 1
    write_json(args.ready, {"dataset": args.dataset, "data": str(args.data), "data_sha256": data_sha256})
    return 0


if __name__ == "__main__":
    sys.exit(main())
