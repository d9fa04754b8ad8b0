"""Make an embedded dataset or check the user's.

python -m normbench.execution.prepare --data build/data --dataset digits32 --ready build/ready/digits32.json
"""

import argparse
import sys
from pathlib import Path

from normbench.config.tasks import load_preparer, owner_of
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import write_json


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--ready", type=Path, required=True)
    args = parser.parse_args()
    try:
        data_sha256 = load_preparer(owner_of(args.dataset))(args.dataset, args.data)
    except PermissionError as error:
        raise InputError(
            f"{args.data}: {args.dataset} needs {error.filename}, which may not be written or read; name another folder with "
            "--config data=FOLDER"
        ) from error
    write_json(args.ready, {"dataset": args.dataset, "data": str(args.data), "data_sha256": data_sha256})


if __name__ == "__main__":
    sys.exit(main())
