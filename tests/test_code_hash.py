"""The hash of code in small packages outside the repository: what changes it, what does not, and how imports are followed."""

from pathlib import Path

import pytest
from facts import mistake
from hypothesis import given
from hypothesis import strategies as st

from normbench.config.code_hash import changed_files, code_of, files_of
from normbench.config.syntax import pieces

SOURCE = '''"""What it does."""

import torch

LIMIT: int = 3


def twice(x):
    """Two times x."""
    if x > LIMIT:
        raise ValueError(f"{x} is too large " + "for this")
    return 2 * x
'''


@pytest.mark.parametrize(
    "before, after, same",
    [
        ("    return", "    # a comment\n    return", True),
        ("Two times x.", "Double.", True),
        ('    """Two times x."""\n', "", True),
        ("\n\n\ndef", "\n\n\n\n\ndef", True),
        ("return 2 * x", "return (2 * x)", True),
        ("is too large", "exceeds the limit", True),
        ('f"{x} is too large " + "for this"', '"too large" if x else "; ".join(str(x))', True),
        ("raise ValueError", "raise TypeError", False),
        ('f"{x} is too large " + "for this"', "x, 'too large'", False),
        ("2 * x", "2 + x", False),
        ("2 * x", "2.0 * x", False),
        ("2 * x", "'2' * x", False),
        ("2 * x", "None", False),
        ("2 * x", "[None, x]", False),
        ("twice", "double", False),
        ("import torch", "import torch.nn as torch", False),
        ("import torch", "import jax as torch", False),
        (": int", "", False),
        (": int", ": float", False),
        ("if x >", "while x >", False),
    ],
)
def test_comments_layout_docstrings_and_wording_are_no_code(before, after, same):
    assert SOURCE.count(before) == 1
    assert (pieces(SOURCE.encode()) == pieces(SOURCE.replace(before, after).encode())) is same


@given(st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.booleans(), st.none()), st.integers() | st.text())
def test_other_constants_are_other_code(a, b):
    same = type(a) is type(b) and repr(a) == repr(b)
    assert (pieces(f"x = {a!r}".encode()) == pieces(f"x = {b!r}".encode())) is same


@given(st.lists(st.sampled_from(["pass", "'words'", "# words", "", "..."]), max_size=4), st.integers(0, 3))
def test_what_does_nothing_may_stand_anywhere(idle, place):
    lines = ["import a", "x = 1", "x += 2"]
    assert pieces("\n".join([*lines[:place], *idle, *lines[place:]]).encode()) == pieces("\n".join(lines).encode())


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


ENTRY = ("speech.adapter", "speech/adapter.py")


@pytest.fixture
def hashed(tmp_path):
    """The hash of speech/adapter.py among `files`, each time in a folder of its own: files are read once in a process."""
    count = iter(range(100))

    def of(files: dict[str, str], entry: tuple[str, str] = ENTRY) -> str:
        folder = write(tmp_path / f"{next(count)}", files)
        return code_of((entry[0], folder / entry[1]))

    return of


IMPORTS = {
    "absolute": "from speech.data import rate\n",
    "module": "from speech import data\n",
    "dotted": "import speech.data\n",
    "alias": "import speech.data as data\n",
    "relative": "from .data import rate\n",
    "relative module": "from . import data\n",
    "in a function": "def f():\n    from speech.data import rate\n    return rate\n",
    "in a branch": "if True:\n    try:\n        from speech.data import rate\n    except ImportError:\n        rate = 1\n",
    "star": "from speech.data import *\n",
    "star of a package": "from speech import *\n",
    "beside": "import data\n",
    "through another": "from speech.middle import rate\n",
    "package": "from speech.deep import rate\n",
    "up": "from speech.deep.inner import rate\n",
}
REST = {
    "speech/middle.py": "from speech.data import rate\n",
    "speech/deep/__init__.py": "from ..data import rate\n",
    "speech/deep/inner.py": "from .. import data\nrate = data.rate\n",
}


@pytest.mark.parametrize("how", IMPORTS)
def test_what_is_imported_counts_however_it_is_imported(hashed, how):
    files = {"speech/adapter.py": IMPORTS[how], **REST}
    one, same, other = (hashed({**files, "speech/data.py": text}) for text in ("rate = 1\n", "rate = 1  # Hz\n", "rate = 2\n"))
    assert one == same != other


def test_what_is_not_imported_does_not_count(hashed):
    files = {"speech/adapter.py": "from speech import data\n", "speech/data.py": "rate = 1\n"}
    assert hashed(files) == hashed({**files, "speech/other.py": "rate = 2\n"})


def test_a_package_counts_with_what_its_init_computes(hashed):
    files = {"speech/adapter.py": "from speech.deep.data import rate\n", "speech/deep/data.py": "rate = 1\n"}
    words, computes = ({**files, "speech/deep/__init__.py": text} for text in ('"""Words."""\n', "import torch\ntorch.manual_seed(0)\n"))
    assert hashed(files) == hashed(words) != hashed(computes)
    above = {**files, "speech/__init__.py": "from speech.other import x\n"}
    assert len({hashed(files), hashed({**above, "speech/other.py": "x = 1"}), hashed({**above, "speech/other.py": "x = 2"})}) == 3


def test_a_file_may_move_and_be_renamed(hashed):
    here = {
        "speech/adapter.py": "from speech.data import rate\nfrom speech.model import net\n",
        "speech/data.py": "rate = 1\n",
        "speech/model.py": "import torch\n\nfrom speech.data import rate as r\n\nnet = r\n",
    }
    there = {
        "speech/adapter.py": "from speech.model import net\nfrom speech.sound.waves import rate\n",
        "speech/sound/waves.py": "rate = 1\n",
        "speech/sound/__init__.py": '"""Sound."""\n',
        "speech/model.py": "import torch\n\nfrom .sound.waves import rate as r\n\nnet = r\n",
    }
    assert hashed(here) == hashed(there)


@pytest.mark.parametrize(
    "before, after",
    [("from speech.a import f\n", "from speech.b import f\n"), ("import speech.a as m\n", "import speech.b as m\n")],
)
def test_another_module_under_the_same_local_name_is_other_code(hashed, before, after):
    files = {"speech/a.py": "def f(): return 1\n", "speech/b.py": "def f(): return 2\n"}
    assert hashed({"speech/adapter.py": before, **files}) != hashed({"speech/adapter.py": after, **files})


def test_of_two_imports_of_one_name_the_last_holds(hashed):
    files = {"speech/a.py": "x = 1\n", "speech/b.py": "x = 2\n"}
    lines = ["from speech.a import x\n", "from speech.b import x\n"]
    assert hashed({"speech/adapter.py": "".join(lines), **files}) != hashed({"speech/adapter.py": "".join(lines[::-1]), **files})


CIRCLE = {
    "speech/adapter.py": "from speech.a import f\n",
    "speech/a.py": "from speech import b\n\n\ndef f(): return b.x\n",
    "speech/b.py": "def g():\n    from speech import c\n    return c\n\n\nx = 1\n",
    "speech/c.py": "from speech.a import f\ny = 1\n",
}


@pytest.mark.parametrize("name, before, after", [("a", "b.x", "b.g"), ("b", "x = 1", "x = 2"), ("c", "y = 1", "y = 2")])
def test_files_that_import_each_other_count_as_one(hashed, name, before, after):
    file = f"speech/{name}.py"
    assert before in CIRCLE[file]
    assert hashed(CIRCLE) == hashed(dict(CIRCLE)) != hashed({**CIRCLE, file: CIRCLE[file].replace(before, after)})


def test_a_circle_may_move_and_who_is_imported_in_it_counts(hashed):
    moved = {file.replace("/c.py", "/z.py"): text.replace("import c", "import z as c") for file, text in CIRCLE.items()}
    assert hashed(CIRCLE) == hashed(moved)
    alike = {"speech/a.py": "from speech import b\n", "speech/b.py": "from speech import a\nx = 1\n"}
    one, other = ({"speech/adapter.py": f"from speech import {name} as m\n", **alike} for name in "ab")
    assert hashed(one) != hashed(other)
    ring = {f"speech/{a}.py": f"from speech import {b} as n\n" for a, b in ("ab", "bc", "ca")}
    ring["speech/c.py"] += "x = 1\n"  # a and b have one text, and are one and two steps away from this
    one, other = ({"speech/adapter.py": f"from speech import {name} as m\n", **ring} for name in "ab")
    assert hashed(one) != hashed(other)


def test_the_library_counts_for_a_folder_outside(tmp_path):
    folder = write(tmp_path, {"speech/adapter.py": "from normbench.training.window import EXPLODED\n"})
    found = files_of(("speech.adapter", folder / "speech" / "adapter.py"))
    assert {"speech/adapter.py", "normbench/training/window.py", "normbench/__init__.py"} <= set(found)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    folder = write(tmp_path, {"speech/adapter.py": "from speech import data\n", "speech/data.py": "x = = 1\n"})
    with mistake(folder / "speech" / "data.py", "Python", "line 1"):
        code_of(("speech.adapter", folder / "speech" / "adapter.py"))
    with mistake(folder / "speech" / "missing.py", "read"):
        code_of(("speech.missing", folder / "speech" / "missing.py"))


def test_changed_files_are_those_that_came_went_or_differ():
    was = {"same": "1", "edited": "2", "old place": "3", "gone": "4"}
    assert changed_files(was, {"same": "1", "edited": "5", "new place": "3", "new": "6"}) == ["edited", "gone", "new"]
