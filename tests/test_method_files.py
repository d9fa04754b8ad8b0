"""Reading and loading method files: what is right is read without torch, what is wrong is said in one sentence."""

import ast
import dataclasses
import subprocess
import sys
import textwrap

import pytest
from facts import mistake, replaced

from normbench import load_method
from normbench.hooks.builder import Builder
from normbench.hooks.methods import HOOKS, METHODS, check_params, method_names, read_method

NAMES = method_names()
RIGHT = textwrap.dedent('''
    """Scaling: y = scale x."""

    from dataclasses import dataclass

    from torch import nn

    CITE = "Nobody, Journal of Examples 2020, arXiv:2000.00000"


    @dataclass(frozen=True, kw_only=True)
    class Params:
        momentum: float = 0.1
        scale: float = 1.0

        def __post_init__(self):
            if not 0 <= self.momentum <= 1:
                raise ValueError(f"momentum must lie in [0, 1], got {self.momentum}")


    class Scaled(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return self.scale * x


    def norm(site, p):
        return Scaled(p.scale)


    def reference(site, p, state, x):
        return p.scale * x
''')

# what is wrong: (what is replaced, by what, what the sentence names beside the file)
CITED = '"Nobody, Journal of Examples 2020, arXiv:2000.00000"'
DECORATOR = "@dataclass(frozen=True, kw_only=True)"
BROKEN = {
    "no docstring": ('"""Scaling: y = scale x."""', "", "docstring", "equation", "shapes", "source"),
    "no citation": (f"CITE = {CITED}", "", "CITE", "paper", "arXiv:"),
    "misspelt CITE": ("CITE =", "CITES =", "'CITES'", "'CITE'"),
    "CITE in small letters": ("CITE =", "cite =", "'cite'", "'CITE'"),
    "CITATION": ("CITE =", "CITATION: str =", "'CITATION'", "'CITE'"),
    "misspelt VARIANTS": ("CITE =", "VARIANT = []\nCITE =", "'VARIANT'", "'VARIANTS'"),
    "empty CITE": (CITED, "''", "CITE", "''", "paper", "arXiv:"),
    "computed CITE": (CITED, "str(nn)", "CITE", "str(nn)", "text"),
    "misspelt hook": ("def norm(site, p)", "def nrom(site, p)", "'nrom'", "'norm'", *sorted(HOOKS)),
    "other arguments": ("def norm(site, p)", "def norm(site, params)", "norm", "(site, p)", "(site, params)"),
    "too many arguments": ("def norm(site, p)", "def norm(site, p, *more)", "norm", "(site, p)", "(site, p, *more)"),
    "other arguments of reference": ("reference(site, p, state, x)", "reference(x, p)", "reference", "(site, p, state, ...)", "(x, p)"),
    "no reference": ("def reference(", "def _reference(", "reference(site, p, state, ...)", "equation"),
    "no hook": ("def norm(", "def _norm(", "hook", "reference", "join", "weight", "bias", "activation"),
    "no Params": ("class Params", "class Options", "Params", DECORATOR),
    "misspelt Params": ("class Params", "class Param", "'Param'", "'Params'", DECORATOR),
    "not frozen": (DECORATOR, "@dataclass(kw_only=True)", "Params", DECORATOR, "@dataclass(kw_only=True)"),
    "no dataclass": (DECORATOR, "", "Params", DECORATOR),
    "no default": ("scale: float = 1.0", "scale: float", "Params.scale", "default", "paper"),
    "no type": ("scale: float = 1.0", "scale = 1.0", "Params.scale", "type", ": float = "),
    "computed default": ("scale: float = 1.0", "scale: float = 2**0.5", "Params.scale", "2 ** 0.5", "literal"),
    "syntax": ("def norm(site, p):", "def norm(site, p)", "line 30", "':'"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tried.py").write_text(RIGHT)
    return tmp_path


def test_a_right_file_is_read_and_loaded(folder):
    file, method = read_method("tried", folder), load_method("tried", folder)
    assert (file.title, file.hooks, file.params) == ("Scaling: y = scale x.", ("norm", "reference"), {"momentum": 0.1, "scale": 1.0})
    assert file.cite == method.cite == "Nobody, Journal of Examples 2020, arXiv:2000.00000"
    assert file.sha256 == method.sha256 != read_method(NAMES[0]).sha256
    assert dataclasses.asdict(method.params(scale=3.0)) == {"momentum": 0.1, "scale": 3.0}


@pytest.mark.parametrize("what", BROKEN)
def test_a_mistake_is_one_sentence(what, folder):
    old, new, *facts = BROKEN[what]
    file = folder / "tried.py"
    file.write_text(replaced(RIGHT, old, new))
    with mistake(file, *facts):
        read_method("tried", folder)


def test_reading_runs_nothing(folder):
    file = folder / "tried.py"
    file.write_text(RIGHT + "\nraise RuntimeError('was run')\n")
    assert read_method("tried", folder).hooks == ("norm", "reference")
    with mistake(file, "RuntimeError", "import", "was run"):
        load_method("tried", folder)


def test_a_refused_default_is_one_sentence(folder):
    file = folder / "tried.py"
    file.write_text(replaced(RIGHT, "momentum: float = 0.1", "momentum: float = 1.5"))
    with mistake(file, "ValueError", "momentum must lie in [0, 1], got 1.5"):
        load_method("tried", folder)


def test_a_misspelt_name_suggests_the_nearest(folder):
    with mistake(f"{folder}/:", "'tired'", "'tried'"):
        read_method("tired", folder)
    with mistake("methods/:", "'btch_norm'", "'batch_norm'"):
        load_method("btch_norm")


def test_parameters_are_checked_by_name_and_value(folder):
    method, file = load_method("tried", folder), read_method("tried", folder)
    with mistake(folder / "tried.py", "'momentun'", "'momentum'", "momentum, scale"):
        method.params(momentun=0.2)
    with mistake(folder / "tried.py", "momentum must lie in [0, 1], got 2"):
        method.params(momentum=2)
    with mistake("papers/x.yaml", "params of tried", "'scal'", "'scale'", "momentum, scale"):
        check_params(file, {"scal": 1}, "papers/x.yaml")
    assert check_params(file, {"scale": 2.0}, "papers/x.yaml") == {"momentum": 0.1, "scale": 2.0}


def test_two_folders_may_hold_methods_of_one_name(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "tried.py").write_text(RIGHT.replace("scale: float = 1.0", "scale: float = 2.0"))
    assert load_method("tried", folder).params().scale == 1.0
    assert load_method("tried", other).params().scale == 2.0


def test_annotations_may_be_postponed(folder):
    source = RIGHT.replace("from dataclasses", "from __future__ import annotations\n\nfrom dataclasses", 1)
    (folder / "tried.py").write_text(source)
    assert load_method("tried", folder).params().scale == 1.0


def test_missing_hooks_have_their_defaults(folder):
    method = load_method("tried", folder)
    p = method.params()
    assert method.join(None, p) is method.weight(None, p, None) is method.bias(None, p) is method.activation(None, p, None) is None
    assert method.refuse(None, p) is None
    assert method.groups(None, [], p) == []
    assert method.initialize(None, [], p) is method.calibrate(None, [], p, []) is method.clip(None, [], p) is None


def test_a_method_that_changes_nothing_is_an_error(folder):
    (folder / "tried.py").write_text(RIGHT.replace("return Scaled(p.scale)", "return None"))
    build = Builder(load_method("tried", folder))
    model = build.norm("norm1", 8)
    with mistake(folder / "tried.py", "nothing", "model", "site"):
        build.finish(model)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_complete(name):
    """Read without being run: it cites with an identifier, imports no other method, and each hook is known."""
    file = read_method(name)
    assert {"reference"} <= set(file.hooks) <= set(HOOKS)
    imported = {
        part
        for node in ast.walk(ast.parse(file.path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for part in [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
    }
    assert not any(part.split(".")[0] in ("methods", "tasks", "papers") for part in imported), "imports another method"
    assert not imported & set(NAMES)


def test_reading_all_methods_imports_no_torch():
    code = (
        "import sys; from normbench.hooks.methods import method_names, read_method; "
        "files = [read_method(name) for name in method_names()]; assert files; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=METHODS.parent, check=True)
    assert done.stdout.strip() == "False"
