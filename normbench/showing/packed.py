"""What the page unpacks when it is needed: gzip in base64, which every browser of the last years reads by itself."""

import base64
import gzip
import json
from functools import cache
from typing import Any


def pack(text: str) -> str:
    """Equal texts give equal bytes."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def pack_json(data: Any) -> str:
    return pack(json.dumps(data, separators=(",", ":"), allow_nan=False))


@cache
def plotting_library() -> str:
    """Vega-Lite with Vega and its embedding, as one script; it sets window.vegaEmbed."""
    import vl_convert

    return vl_convert.javascript_bundle(vl_version=VEGA_LITE)


VEGA_LITE = "6.4"
