"""Methods are files: `methods/<name>.py`, or one of that name elsewhere; a module of hooks and one frozen `Params` dataclass.

`read_method` looks at a file without running it (no torch), for planning; `load_method` imports it
and returns the checked `Method` whose hooks the models call.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from normbench.config.method_files import HOOKS, METHODS, STANDING, MethodFile, check_params, method_names, method_path, read_method
from normbench.core.errors import InputError, unknown
from normbench.core.schema import shown

__all__ = ["HOOKS", "METHODS", "STANDING", "Method", "MethodFile", "check_params", "load_method", "method_names", "read_method"]


class Method:
    """A method, checked. Hooks that its file leaves out have their defaults here.

    Attributes: name, path, file (the path as messages show it), short (the file and its folder, what records say on every machine),
    cite, Params, defined (the hooks in the file), sha256 (of the file), variants (more values of Params that the conformance kit
    tries: the file's optional VARIANTS, a list of dicts).
    """

    def __init__(self, file: MethodFile, module: ModuleType):
        self.name, self.path, self.cite, self.sha256 = file.name, file.path, file.cite, file.sha256
        self.file, self.short = shown(file.path), f"{file.path.parent.name}/{file.path.name}"
        self.defined = file.hooks
        self.Params = module.Params
        self.variants = tuple(getattr(module, "VARIANTS", ()))
        self._module = module

    def _hook(self, name: str) -> Callable | None:
        return getattr(self._module, name) if name in self.defined else None

    def params(self, **values: Any) -> Any:
        """Params(**values) with errors that name the file, the key and the nearest key."""
        known = [f.name for f in dataclasses.fields(self.Params)]
        for key in values:
            if key not in known:
                raise unknown(self.file, "parameter", key, known)
        try:
            return self.Params(**values)
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.file}: {error}") from error

    def norm(self, site, p):
        """What stands at a norm site: a module, or None where nothing does."""
        hook = self._hook("norm")
        return hook(site, p) if hook else None

    def join(self, site, p):
        """A module (skip, branch) -> sum, or None for skip + branch."""
        hook = self._hook("join")
        return hook(site, p) if hook else None

    def weight(self, site, p, layer):
        """The convolution or linear layer, reparametrized or with a bias, or None for as it is."""
        hook = self._hook("weight")
        return hook(site, p, layer) if hook else None

    def bias(self, site, p):
        """What is added in front of a layer: a module, or None."""
        hook = self._hook("bias")
        return hook(site, p) if hook else None

    def activation(self, site, p, act):
        """What stands at an activation site in place of the module `act`, or None for `act`."""
        hook = self._hook("activation")
        return hook(site, p, act) if hook else None

    def initialize(self, model, sites, p) -> None:
        if hook := self._hook("initialize"):
            hook(model, sites, p)

    def calibrate(self, model, sites, p, batches) -> None:
        """Set what is read off the first batches; `batches` is a list of input tensors."""
        if hook := self._hook("calibrate"):
            hook(model, sites, p, batches)

    def groups(self, model, sites, p) -> list[dict]:
        """[{"params": [...], "lr_scale": 0.1, "weight_decay": 0.0}, ...]: what differs from the recipe."""
        hook = self._hook("groups")
        return hook(model, sites, p) if hook else []

    def clip(self, model, sites, p) -> None:
        """Change gradients in place, after backward and before the step."""
        if hook := self._hook("clip"):
            hook(model, sites, p)

    def refuse(self, site, p) -> str | None:
        """The sentence that says why the method cannot stand at `site`, or None."""
        hook = self._hook("refuse")
        return hook(site, p) if hook else None

    def reference(self, site, p, state, *tensors):
        """The equation of what stands at `site`, slowly; `state` holds the module's tensors by name."""
        hook = self._hook("reference")
        if hook is None:
            raise InputError(f"{self.file}: has no reference(site, p, state, ...)")
        return hook(site, p, state, *tensors)

    def __repr__(self) -> str:
        return f"Method({self.name!r})"

    def __deepcopy__(self, memo: dict) -> "Method":
        # copies of a model share its method, whose module cannot be copied
        return self


def load_method(name: str, folder: Path | None = None) -> Method:
    """Import a method's file and return it as a checked Method; folder: the only one to look in. Raises InputError with one sentence."""
    return _load(method_path(name, folder))


@cache
def _load(path: Path) -> Method:
    file = read_method(path.stem, path.parent)
    # the content is in the module's name, so that two folders may hold methods of one name
    spec = importlib.util.spec_from_file_location(f"methods_{file.sha256[:12]}.{file.name}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        module.Params()
    except Exception as error:
        del sys.modules[spec.name]
        raise InputError(f"{shown(path)}: {type(error).__name__} while it was imported: {error}") from error
    return Method(file, module)
