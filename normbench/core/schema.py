"""Reading YAML into checked models: safe_load, pydantic, and errors of one sentence."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from normbench.core.errors import InputError, unknown

PACKAGE = Path(__file__).resolve().parent.parent
# What holds methods/, tasks/, papers/ and workflows/: the repository or, where normbench was installed from a wheel, a folder in it.
ROOT = PACKAGE / "suite" if (PACKAGE / "suite").is_dir() else PACKAGE.parent


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


Model = TypeVar("Model", bound=BaseModel)


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """The safe loader, refusing a key given twice (YAML would silently keep the last)."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict:
    loader.flatten_mapping(node)
    pairs = [(loader.construct_object(k, deep=True), loader.construct_object(v, deep=True)) for k, v in node.value]
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        seen.add(key)
    return dict(pairs)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file; a broken file is an InputError with its line."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise unknown(shown(path.parent), "file", path.name, [p.name for p in path.parent.glob("*.yaml")]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{shown(path)}{line}: {getattr(error, 'problem', None) or error}") from error


def read(model: type[Model], path: Path) -> Model:
    """The file `path` as a checked `model`."""
    return validated(model, read_yaml(path), shown(path))


def validated(model: type[Model], data: Any, place: str) -> Model:
    """`data` as a `model`; the first thing wrong with it becomes one sentence that starts with `place`."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _sentence(model, error, place) from None


def shown(path: Path) -> str:
    """A path as the user knows it: relative to the repository where it lies inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _sentence(model: type[BaseModel], error: ValidationError, place: str) -> InputError:
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])  # a misspelt key is missing too: the spelling is the news
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *parents, key = first["loc"]
        at = f"{place}: {'.'.join(map(str, parents))}" if parents else place
        return unknown(at, "key", key, _fields_at(model, parents))
    if first["type"] == "missing":
        return InputError(f"{place}: the key {where!r} is missing")
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):  # a check across keys, which names its place itself
        return cause
    message = first["msg"].removeprefix("Value error, ")
    return InputError(f"{place}: {where}: {message[0].lower() + message[1:]}, got {first['input']!r}")


def _fields_at(model: type[BaseModel], parents: list) -> list[str]:
    """The keys that exist at a place inside `model`: follow the annotations as far as they lead."""
    for part in parents:
        models = [m for m in _models_in(model.model_fields[part].annotation)] if part in model.model_fields else []
        if models:
            model = models[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
