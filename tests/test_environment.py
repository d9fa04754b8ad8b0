"""The environment: pinned, hashed, from no named server, and the same for conda as for pip."""

import re

import pytest
import yaml

from normbench.core.schema import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONDA = ROOT / "environment.yml"
NAMES = {"pytorch": "torch"}  # where conda calls a package otherwise


def locked(text: str = LOCK) -> dict[str, tuple[str, list[str]]]:
    """name -> (version, hashes) of every requirement."""
    entries = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)(.*?)(?=^[A-Za-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    return {
        name.lower().replace("_", "-"): (version, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", rest)) for name, version, rest in entries
    }


def unhashed(text: str) -> list[str]:
    return [name for name, (_, hashes) in locked(text).items() if not hashes]


def servers(text: str) -> list[str]:
    return re.findall(r"^.*(?:https?://|--index-url|--extra-index-url|--find-links|--trusted-host|git\+|file:).*$", text, re.MULTILINE)


def test_every_requirement_is_pinned_and_hashed():
    lines = [line for line in LOCK.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(locked()) > 50
    assert unhashed(LOCK) == []
    assert unhashed(re.sub(r"(torch==\S+) \\\n(    --hash=\S+(?: \\)?\n)+", r"\1\n", LOCK, count=1)) == ["torch"]


def test_the_lock_names_no_server():
    assert servers(LOCK) == []
    assert servers("--index-url https://example.org/simple\n" + LOCK)


def test_what_is_asked_for_is_in_the_lock():
    asked = re.findall(r"^([a-z0-9-]+)(?:==(\S+))?", (ROOT / "requirements.in").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"torch", "snakemake", "mlflow"} <= {name for name, _ in asked}
    for name, version in asked:
        assert name in locked() and version in ("", locked()[name][0]), name


@pytest.mark.parametrize(
    "entry", yaml.safe_load(CONDA.read_text(encoding="utf-8"))["dependencies"] if CONDA.exists() else ["environment.yml"], ids=str
)
def test_condas_pins_are_the_locks(entry):
    assert CONDA.exists(), "environment.yml is missing"
    entries = entry["pip"] if isinstance(entry, dict) else [entry]
    for one in entries:
        if one.startswith(("-r", "--")):
            assert one.split()[-1] in ("requirements.lock", "--no-deps"), one
            continue
        found = re.fullmatch(r"(?:[\w-]+::)?([A-Za-z0-9_-]+)(?:(==?)([\w.]+))?(?:=\w+)?", one)
        assert found, f"{one!r}: a name and one version would do"
        name, version = NAMES.get(found[1], found[1]), found[3]
        if name in locked():
            assert version == locked()[name][0], f"{one}: requirements.lock has {locked()[name][0]}"


def test_detectron2_is_declared_at_one_commit_wherever_it_is_named():
    files = [CONDA, ROOT / "README.md", ROOT / "tasks" / "coco" / "README.md"]
    named = [
        re.findall(r"pip install --no-build-isolation 'git\+https://github\.com/facebookresearch/detectron2@(\w+)'", f.read_text())
        for f in files
    ]
    assert all(len(found) == 1 for found in named) and len({found[0] for found in named}) == 1
    assert re.fullmatch("[0-9a-f]{40}", named[0][0])
