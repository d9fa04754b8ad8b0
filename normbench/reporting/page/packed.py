"""What the page unpacks when it is needed: gzip in base64, which every browser of the last years reads by itself.

    python -m normbench.reporting.page.packed --output build/page/vega-lite-6.4.txt

writes the plotting library as it stands in every page: it takes seconds to put together, and no results.
"""

import argparse
import base64
import gzip
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from normbench.core.command import command
from normbench.core.files import whole_file

VEGA_LITE = "6.4"


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    with whole_file(args.output, "w") as file:
        file.write(packed_library())


def pack(text: str) -> str:
    """Equal texts give equal bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def pack_json(data: Any) -> str:
    return pack(json.dumps(data, separators=(",", ":"), allow_nan=False))


@cache
def packed_library() -> str:
    """Vega-Lite with Vega and its embedding, as one packed script; it sets window.vegaEmbed."""
    import vl_convert

    return pack(vl_convert.javascript_bundle(vl_version=VEGA_LITE))


if __name__ == "__main__":
    sys.exit(main())
