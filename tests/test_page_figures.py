"""Figures inside the page: photographs get smaller, drawings keep every pixel, a broken file is one sentence."""

import base64
import io
import re

import numpy as np
from facts import mistake
from PIL import Image

from normbench.reporting.page.embedded import inline_svg


def test_a_photograph_is_smaller_in_the_page_and_a_drawing_keeps_every_pixel(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for pixels, kind in ((noise, "jpeg"), (np.zeros((64, 64, 3), np.uint8), "png"), (np.dstack([noise, noise[..., 0]]), "png")):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        address = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        path = tmp_path / "picture.svg"
        path.write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" height="9pt">'
            f'<image xlink:href="{address}"/></svg>'
        )
        shown = re.search(r'href="([^"]*)"', inline_svg(path, "f", "")).group(1)
        assert shown.startswith(f"data:image/{kind};base64,") and (shown == address) is (kind == "png")
        assert len(shown) <= len(address)


def test_a_broken_figure_is_one_sentence(tmp_path):
    path = tmp_path / "cut.svg"
    path.write_text("<svg><g>")
    with mistake(path, "broken", "draws it again"):
        inline_svg(path, "f", "")
