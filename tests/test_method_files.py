"""Reading and loading method files: what is right is read without torch, what is wrong is said in one sentence."""

import ast
import dataclasses
import subprocess
import sys
import textwrap

import pytest

from normbench import load_method
from normbench.core.errors import InputError
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

# mistake: (what is replaced, by what, the whole sentence, in which methods/ stands for the folder)
MISTAKES = {
    "no docstring": ('"""Scaling: y = scale x."""', "", "methods/tried.py: needs a docstring with the equation, the shapes and the source"),
    "no citation": (
        'CITE = "Nobody, Journal of Examples 2020, arXiv:2000.00000"',
        "",
        "methods/tried.py: needs CITE, the paper and where to find it, e.g. 'Wu and He, ECCV 2018, arXiv:1803.08494'",
    ),
    "misspelt CITE": ("CITE =", "CITES =", "methods/tried.py: has 'CITES'; did you mean 'CITE'?"),
    "CITE in small letters": ("CITE =", "cite =", "methods/tried.py: has 'cite'; did you mean 'CITE'?"),
    "CITATION": ("CITE =", "CITATION: str =", "methods/tried.py: has 'CITATION'; did you mean 'CITE'?"),
    "misspelt VARIANTS": ("CITE =", "VARIANT = []\nCITE =", "methods/tried.py: has 'VARIANT'; did you mean 'VARIANTS'?"),
    "empty CITE": (
        '"Nobody, Journal of Examples 2020, arXiv:2000.00000"',
        '""',
        "methods/tried.py: CITE is ''; the paper and where to find it would do: 'Wu and He, ECCV 2018, arXiv:1803.08494'",
    ),
    "computed CITE": (
        '"Nobody, Journal of Examples 2020, arXiv:2000.00000"',
        "str(nn)",
        "methods/tried.py: CITE is str(nn); text would do, so that it can be read without running the file",
    ),
    "misspelt hook": (
        "def norm(site, p)",
        "def nrom(site, p)",
        "methods/tried.py: 'nrom' is no hook; did you mean 'norm'? (known: activation, bias, calibrate, clip, groups, initialize, join, "
        "norm, reference, refuse, weight)",
    ),
    "other arguments": ("def norm(site, p)", "def norm(site, params)", "methods/tried.py: norm takes (site, p), got (site, params)"),
    "too many arguments": ("def norm(site, p)", "def norm(site, p, *more)", "methods/tried.py: norm takes (site, p), got (site, p, *more)"),
    "other arguments of reference": (
        "def reference(site, p, state, x)",
        "def reference(x, p)",
        "methods/tried.py: reference takes (site, p, state, ...), got (x, p)",
    ),
    "no reference": (
        "def reference(",
        "def _reference(",
        "methods/tried.py: needs reference(site, p, state, ...), the equation written slowly (found: norm)",
    ),
    "no hook": (
        "def norm(",
        "def _norm(",
        "methods/tried.py: has no hook that changes a model (found: reference); one of norm, join, weight, bias, activation is needed",
    ),
    "no Params": (
        "class Params",
        "class Options",
        "methods/tried.py: needs a class named Params, decorated with @dataclass(frozen=True, kw_only=True)",
    ),
    "misspelt Params": (
        "class Params",
        "class Param",
        "methods/tried.py: needs a class named Params, decorated with @dataclass(frozen=True, kw_only=True) "
        "(found: 'Param'; did you mean 'Params'?)",
    ),
    "not frozen": (
        "@dataclass(frozen=True, kw_only=True)",
        "@dataclass(kw_only=True)",
        "methods/tried.py: Params must be decorated with @dataclass(frozen=True, kw_only=True), got @dataclass(kw_only=True)",
    ),
    "no dataclass": (
        "@dataclass(frozen=True, kw_only=True)",
        "",
        "methods/tried.py: Params must be decorated with @dataclass(frozen=True, kw_only=True), got nothing",
    ),
    "no default": ("scale: float = 1.0", "scale: float", "methods/tried.py: Params.scale needs a default, the paper's value"),
    "no type": ("scale: float = 1.0", "scale = 1.0", "methods/tried.py: Params.scale needs a type, as in `eps: float = 1e-5`"),
    "computed default": (
        "scale: float = 1.0",
        "scale: float = 2**0.5",
        "methods/tried.py: Params.scale is 2 ** 0.5; a literal would do, so that it can be read without running the file",
    ),
    "syntax": ("def norm(site, p):", "def norm(site, p)", "methods/tried.py: line 30 is no Python: expected ':'"),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tried.py").write_text(RIGHT)
    return tmp_path


def sentence(call, *args, **kwargs):
    """The one line that an InputError says."""
    with pytest.raises(InputError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_right_file_is_read_and_loaded(folder):
    file, method = read_method("tried", folder), load_method("tried", folder)
    assert (file.title, file.hooks, file.params) == ("Scaling: y = scale x.", ("norm", "reference"), {"momentum": 0.1, "scale": 1.0})
    assert file.cite == method.cite == "Nobody, Journal of Examples 2020, arXiv:2000.00000"
    assert file.sha256 == method.sha256 != read_method(NAMES[0]).sha256
    assert dataclasses.asdict(method.params(scale=3.0)) == {"momentum": 0.1, "scale": 3.0}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake, folder):
    old, new, says = MISTAKES[mistake]
    assert RIGHT.count(old) == 1
    (folder / "tried.py").write_text(RIGHT.replace(old, new))
    assert sentence(read_method, "tried", folder) == says.replace("methods", str(folder), 1)


def test_reading_runs_nothing(folder):
    (folder / "tried.py").write_text(RIGHT + "\nraise RuntimeError('was run')\n")
    assert read_method("tried", folder).hooks == ("norm", "reference")
    assert sentence(load_method, "tried", folder) == f"{folder}/tried.py: RuntimeError while it was imported: was run"


def test_a_refused_default_is_one_sentence(folder):
    (folder / "tried.py").write_text(RIGHT.replace("momentum: float = 0.1", "momentum: float = 1.5"))
    expected = f"{folder}/tried.py: ValueError while it was imported: momentum must lie in [0, 1], got 1.5"
    assert sentence(load_method, "tried", folder) == expected


def test_a_misspelt_name_suggests_the_nearest(folder):
    assert sentence(read_method, "tired", folder) == f"{folder}/: 'tired' is no method; did you mean 'tried'? (known: tried)"
    assert "did you mean 'batch_norm'?" in sentence(load_method, "btch_norm")


def test_parameters_are_checked_by_name_and_value(folder):
    method, file = load_method("tried", folder), read_method("tried", folder)
    known = "(known: momentum, scale)"
    expected = f"{folder}/tried.py: 'momentun' is no parameter; did you mean 'momentum'? {known}"
    assert sentence(method.params, momentun=0.2) == expected
    assert sentence(method.params, momentum=2) == f"{folder}/tried.py: momentum must lie in [0, 1], got 2"
    expected = f"papers/x.yaml: params of tried: 'scal' is no parameter; did you mean 'scale'? {known}"
    assert sentence(check_params, file, {"scal": 1}, "papers/x.yaml") == expected
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
    assert sentence(build.finish, model) == f"{folder}/tried.py: changed nothing in this model: no site took it"


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
