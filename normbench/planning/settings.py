"""What --config says, checked key by key before anything is planned. Torch-free; no file is read.

Snakemake reads a value as a number or as YAML where it can: 010 becomes 10, `a: b` a mapping, and what follows ` #` is lost. So the words
that were typed are taken, wherever they are known.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from normbench.config.search_paths import KEYS
from normbench.core.errors import InputError, unknown

NAMES = ("papers", "tasks", "methods")  # one or several
FOLDERS = ("data", "build", "results", "old", "new", "folder", "pack_to")
NUMBERS = ("budget_gpu_hours",)
CONFIG = ("tier", *NAMES, *FOLDERS, "pack", "tracking_uri", *NUMBERS, *KEYS)
SEPARATORS = {**dict.fromkeys(NAMES, " "), "pack": ",", **dict.fromkeys(KEYS, os.pathsep)}  # of the keys that may hold several
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_settings(config: Mapping[str, Any], typed: Iterable[str] = ()) -> dict[str, str]:
    """key -> value: names with blanks between them, folders with the user's home in the place of ~, those of KEYS with colons between them.

    typed: `key=value` as they stand on the command line. Raises InputError for a key that is unknown, and for a value that is empty, of a
    type that the key cannot have, or that Snakemake or MLflow cannot take. An empty value, as of a shell's variable that is not set, is
    never the default.
    """
    words = dict(word.split("=", 1) for word in typed if "=" in word)
    return {key: _setting(key, value, words.get(key)) for key, value in config.items()}


def _setting(key: str, value: Any, typed: str | None) -> str:
    if key not in CONFIG:
        raise unknown("--config", "key", key, CONFIG)
    if typed is not None and not (key in SEPARATORS and isinstance(value, list)):
        value = _unquoted(typed)
    text = _text(key, value)
    if not text.strip(" \t,:"):
        raise InputError(f"--config {key}: is empty ({text!r}); give it a value, or leave {key}= out")
    if CONTROL.search(text):
        raise InputError(f"--config {key}: {text!r} holds a line break or another character that is not printed; take it out")
    if key in KEYS:
        return os.pathsep.join(os.path.abspath(os.path.expanduser(word.strip())) for word in re.split("[:,]", text) if word.strip())
    return _folder(key, text) if key in FOLDERS else text


def _unquoted(text: str) -> str:
    """Without quotes around all of it, which Snakemake takes away too."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] in "'\"" else text


def _text(key: str, value: Any) -> str:
    """The value of a key as a string, where it is of a type that the key may have."""
    if value is None:
        return ""
    if isinstance(value, str | os.PathLike):
        return str(value)
    if key in NUMBERS and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if key in SEPARATORS and isinstance(value, list | tuple) and all(isinstance(word, str | os.PathLike) for word in value):
        return SEPARATORS[key].join(map(str, value))
    wanted = "a number" if key in NUMBERS else "text (in quotes where YAML reads something else)"
    several = " or a list of such" if key in SEPARATORS else ""
    raise InputError(f"--config {key}: {value!r} is of type {type(value).__name__}; give {wanted}{several}")


def _folder(key: str, text: str) -> str:
    if key == "build":
        without_braces("--config build", text)
        if "?" in text:
            raise InputError(
                f"--config build: {text!r} holds '?', where the address of MLflow's store below it would end; choose another name"
            )
    path = str(Path(os.path.expanduser(text)))  # not Path's, which fails where there is no such home
    return os.path.abspath(path) if path.startswith("-") else path  # to a program that is handed it no option


def without_braces(place: str, path: str | Path) -> None:
    """Raises InputError for a path that cannot be an input or output of a rule."""
    if found := {"{", "}"} & set(str(path)):
        raise InputError(f"{place}: {str(path)!r} holds {min(found)!r}, which Snakemake takes for a wildcard; name or move it otherwise")
