"""Before anything trains: every arm's parameters, model and method, tried without memory. What recipes name, the plan has checked.

    python -m normbench.planning.check --root build/quick --output build/quick/checked.json --methods my_norm

A mistake in a paper, task or tier ends the line here. A method whose file cannot be imported or fails while its model is built costs its
own arms only, unless it was asked for by name.
"""

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path

from normbench.config.spec import ArmSpec, canonical
from normbench.config.tasks import load_adapter, recipe_fields
from normbench.core.command import command
from normbench.core.errors import InputError, warn
from normbench.core.files import write_json
from normbench.core.formatting import listed
from normbench.hooks.methods import load_method
from normbench.planning.plan import Plan


@dataclass
class Found:
    """refused: arm -> why its method refuses. mistakes: sentences that end the line. faults: method -> what is wrong with it alone."""

    refused: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)


@command
def main() -> int | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--methods", nargs="*", default=[], help="those that were asked for by name")
    args = parser.parse_args()
    plan, asked = Plan.read(args.root), set(listed(" ".join(args.methods)))
    found = look_at(plan)
    mistakes = found.mistakes + [fault for method, fault in found.faults.items() if method in asked]
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if mistakes:
        return 1
    for fault in found.faults.values():
        warn(f"{fault}; the arms with it will fail, and the others go on")
    write_json(args.output, {"arms": len(plan.arms), "refused": found.refused, "faults": found.faults})


def look_at(plan: Plan) -> Found:
    """Build every arm once; those that differ in nothing that a model is built from are one."""
    found, seen = Found(), {}
    for arm, spec in plan.arms.items():
        if spec.method in found.faults:
            continue
        name = plan.names.get(arm, [arm])[0]
        try:
            key = _built_from(spec)
            if key not in seen:
                load_method(spec.method)
                seen[key] = _refusal(spec, name, found)
            if seen[key] is not None:
                found.refused[arm] = seen[key]
        except InputError as error:  # of load_method
            found.faults[spec.method] = str(error)
    return found


def _refusal(spec: ArmSpec, name: str, found: Found) -> str | None:
    """Why the method refuses, None where it stands; what else is wrong goes into `found`."""
    try:
        return load_adapter(spec.task).check(spec)
    except InputError as error:
        found.mistakes.append(f"{name}: {error}")
    except Exception as error:  # a hook's own
        found.faults[spec.method] = f"{name}: {type(error).__name__} while {spec.method} was built into its model: {error}"
    return None


def _built_from(spec: ArmSpec) -> str:
    fields = recipe_fields(spec.task).model
    recipe = spec.recipe if fields is None else {name: spec.recipe[name] for name in fields}
    return canonical([spec.task, spec.dataset, spec.model, spec.method, spec.params, recipe])


if __name__ == "__main__":
    sys.exit(main())
