"""A figure inside the page: its SVG without what only a file of its own needs, in the page's colors, with ids that no other figure has."""

import base64
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from PIL import Image

from normbench.core.errors import InputError
from normbench.reporting.plots.style import BLUE, INK, MUTED, PAGE, RULE

# The page's own colors, so that a figure is dark where the page is.
COLORS = {INK: "var(--ink)", MUTED: "var(--muted)", RULE: "var(--rule)", PAGE: "var(--page)", BLUE: "var(--blue)"}
_HREF = "{http://www.w3.org/1999/xlink}href"
_DROPPED = {"metadata", "style", "title"}
_PLACES = {"d", "x", "y", "points"}
_FINE = re.compile(r"-?\d+\.\d{2,}")  # a tenth of a point is finer than a screen
_PNG = "data:image/png;base64,"
_FONT = re.compile(r"font-family: [^;]*;? ?")


def inline_svg(path: Path, prefix: str, label: str) -> str:
    """The SVG file as an element for the page; `prefix` goes in front of every id, `label` is what a screen reader says."""
    try:
        root = ET.fromstring(path.read_bytes())
    except (OSError, ET.ParseError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` draws it again") from error
    _strip(root)
    used = {ref for element in root.iter() for ref in _references(element)}
    for element in root.iter():
        _localize(element, prefix, used)
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib.update({"role": "img", "aria-label": label, "style": f"width:{width * 4 / 3:.0f}px;aspect-ratio:{width:g}/{height:g}"})
    return ET.tostring(root, encoding="unicode")


def _strip(element: ET.Element) -> None:
    """Names without namespaces, which HTML does not have; no metadata, no styles that would reach the whole page, no white space."""
    for child in list(element):
        child.tag = child.tag.rpartition("}")[2]
        if child.tag in _DROPPED:
            element.remove(child)
        else:
            _strip(child)
    element.tag = element.tag.rpartition("}")[2]
    if element.tag not in ("text", "tspan"):
        element.text = None
    element.tail = None


def _references(element: ET.Element) -> list[str]:
    found = [value[1:] for key, value in element.attrib.items() if key in (_HREF, "href") and value.startswith("#")]
    return found + [ref for value in element.attrib.values() for ref in re.findall(r"url\(#([^)]*)\)", value)]


def _localize(element: ET.Element, prefix: str, used: set[str]) -> None:
    attributes = {}
    for key, value in element.attrib.items():
        if key == "id":
            if value in used:
                attributes["id"] = f"{prefix}-{value}"
        elif key in (_HREF, "href"):
            # A picture has its bytes here.
            attributes["href"] = f"#{prefix}-{value[1:]}" if value.startswith("#") else _small("".join(value.split()))
        elif key in _PLACES:
            attributes[key] = _FINE.sub(lambda match: f"{float(match[0]):.1f}", value)
        else:
            attributes[key] = _colored(value.replace("url(#", f"url(#{prefix}-"))
    element.attrib.clear()
    element.attrib.update(attributes)


def _colored(value: str) -> str:
    """Neutral colors and the blue of most marks become the page's, and so does the font."""
    for color, name in COLORS.items():
        value = value.replace(color, name)
    return _FONT.sub("", value)


def _small(address: str) -> str:
    """An opaque picture as JPEG where that is smaller: photographs are most of a page's bytes, and the figure's file has every pixel."""
    if not address.startswith(_PNG):
        return address
    picture = Image.open(io.BytesIO(base64.b64decode(address.removeprefix(_PNG))))
    if picture.convert("RGBA").getextrema()[3][0] < 255:
        return address
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=85, optimize=True)
    return min(address, f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}", key=len)
