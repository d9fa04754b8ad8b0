"""Before anything trains: every arm's parameters, model and method, tried without memory. What recipes name, the plan has checked.

python -m normbench.planning.check --root build/quick --output build/quick/checked.json
"""

import argparse
import sys
from pathlib import Path

from normbench.config.spec import canonical
from normbench.config.tasks import load_adapter, recipe_fields
from normbench.core.errors import InputError
from normbench.core.files import write_json
from normbench.core.logs import without_debug_lines
from normbench.planning.plan import Plan


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    without_debug_lines()
    try:
        plan = Plan.read(args.root)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    refused, mistakes, seen = {}, [], {}
    for arm, spec in plan.arms.items():
        fields = recipe_fields(spec.task).model
        built_from = spec.recipe if fields is None else {name: spec.recipe[name] for name in fields}
        key = canonical([spec.task, spec.dataset, spec.model, spec.method, spec.params, built_from])
        try:
            if key not in seen:
                seen[key] = load_adapter(spec.task).check(spec)
            if seen[key] is not None:
                refused[arm] = seen[key]
        except InputError as error:
            mistakes.append(f"{plan.names.get(arm, [arm])[0]}: {error}")
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if mistakes:
        return 1
    write_json(args.output, {"arms": len(plan.arms), "refused": refused})
    return 0


if __name__ == "__main__":
    sys.exit(main())
