"""Reading YAML into checked models: safe_load, pydantic, and errors of one sentence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

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
        raise _sentence(model, data, error, place) from None


def shown(path: Path) -> str:
    """A path as the user knows it: relative to the repository where it lies inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _sentence(model: type[BaseModel], data: Any, error: ValidationError, place: str) -> InputError:
    found = error.errors(include_url=False)
    first = next((e for e in found if e["type"] == "extra_forbidden"), found[0])  # a misspelt key is missing too: the spelling is the news
    at = _followed(model, data, first["loc"])
    kind, where, context = first["type"], ".".join(at.keys), first.get("ctx", {})
    if kind == "extra_forbidden":
        *parents, key = at.keys
        inside = ": ".join(filter(None, (place, ".".join(parents))))
        return unknown(inside, f"key of {at.tag}" if at.tag else "key", key, at.fields)
    if kind == "union_tag_invalid":
        key = _bare(context["discriminator"])
        return unknown(f"{place}: {where}.{key}", key, context["tag"], _bare(context["expected_tags"]).split(", "))
    if kind == "union_tag_not_found":
        where = f"{where}.{_bare(context['discriminator'])}"
    if kind in ("missing", "union_tag_not_found"):
        return InputError(f"{place}: the key {where!r} is missing")
    if isinstance(cause := context.get("error"), InputError):  # a check across keys, which names its place itself
        return cause
    message = first["msg"].removeprefix("Value error, ")
    return InputError(": ".join(filter(None, (place, where, f"{message[0].lower() + message[1:]}, got {first['input']!r}"))))


def _bare(words: str) -> str:
    """The words that pydantic puts in quotes, without them."""
    return words.replace("'", "")


@dataclass
class _Place:
    """keys: that lead there, entries of a list by their id if they have one. fields: that the model there has. tag: its word in a union."""

    keys: list[str]
    fields: list[str]
    tag: str


def _followed(model: type[BaseModel], data: Any, loc: Sequence[str | int]) -> _Place:
    """Where a location of pydantic's leads. Beside keys and indices it holds which part of a union was tried, which no file holds."""
    models, keys, tag = [model], [], ""
    for part in loc:
        inside = [one for one in models if part in _keys(one)]
        if inside or (isinstance(data, Mapping | list) and _holds(data, part)):
            data = data[part] if _holds(data, part) else None
            named = isinstance(part, int) and isinstance(data, Mapping) and isinstance(data.get("id"), str)
            keys.append(data["id"] if named else str(part))
            found = [m for one in inside for m in _models_in(_keys(one)[part])]
            models, tag = found or models, "" if inside or isinstance(part, int) else tag
        else:
            tagged = [one for one in models if any(part in get_args(annotation) for annotation in _keys(one).values())]
            models, tag = tagged or models, str(part) if tagged else tag
    return _Place(keys, [key for one in models for key in _keys(one)], tag)


def _holds(data: Any, part: str | int) -> bool:
    return part in data if isinstance(data, Mapping) else isinstance(data, list) and isinstance(part, int) and part < len(data)


def _keys(model: type[BaseModel]) -> dict[str, Any]:
    """key -> annotation, as a file spells the keys."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
