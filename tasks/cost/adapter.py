"""The cost task: times training steps of a network, or of its norm alone, beside the same with a baseline, and trains nothing.

Every number of it is a timing or a count of bytes, and no two runs give the same timings: nothing may ask that of them.
"""

import os
import shutil
import statistics
from pathlib import Path

import torch

from normbench import load_method
from normbench.config.spec import ArmSpec
from normbench.execution.task_api import Context, Result
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands
from normbench.training.loop import Trained
from tasks.cost import data
from tasks.cost.recipe import Recipe, baseline_of
from tasks.cost.subjects import Step, copy_of, network_of, roofline_bytes, step_of
from tasks.cost.timing import WHOLE, Clock, Times, clock_of, interleaved, ratio

COPY = "copy"
WARM_UP = 2  # steps that do not count: they compile, allocate, and let an optimizer make its state


def prepare(dataset: str, root: Path) -> str:
    """Noise needs no files."""
    return data.prepare(root / dataset)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why there is nothing to time, None where there is; raises InputError on mistakes."""
    recipe = Recipe(**arm.recipe)
    return refusal(lambda: (_network(arm, recipe), _network(arm, recipe, baseline_of(arm))))


def run(arm: ArmSpec, seed: int, context: Context, clock: Clock | None = None) -> Result:
    """One repetition of interleaved rounds. clock: instead of the machine's, for tests."""
    recipe = Recipe(**arm.recipe)
    why = no_compiler(context.device) if recipe.compiled else None
    if why:
        return Result(Trained(status="refused", cause=why))
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)
    if recipe.compiled:
        torch.compiler.reset()  # torch gives up compiling a function for the ninth module, and a job takes many
    try:
        torch.manual_seed(seed)
        own = _network(arm, recipe)
        torch.manual_seed(seed)
        baseline = _network(arm, recipe, baseline_of(arm))
        steps = {"own": step_of(own, recipe, seed, context.device), "baseline": step_of(baseline, recipe, seed, context.device)}
        metrics = measure(steps, recipe, clock or clock_of(context.device, recipe.threads))
    except Refused as reason:
        return Result(Trained(status="refused", cause=str(reason)))
    finally:
        torch.set_num_threads(threads)
    return Result(
        Trained(step=recipe.rounds),
        metrics=metrics,
        sites=what_stands(own.sites),
        n_parameters=count_parameters(steps["own"].module),
        data_sha256=data.data_sha256(),
    )


def measure(steps: dict[str, Step], recipe: Recipe, clock: Clock) -> dict[str, float]:
    """The metrics of task.yaml; steps: "own" and "baseline"."""
    for step in steps.values():
        for _ in range(WARM_UP):
            step.whole()
    memory = {name: step.memory() for name, step in steps.items()}
    participants = {name: step.phases() for name, step in steps.items()}
    copy = COPY if recipe.subject == "layer" else None
    if copy:
        participants[copy] = copy_of(steps["own"].x)
    interleaved(participants, 1, clock, copy)  # does not count: behind the hooks that counted memory a first step is another one
    times = interleaved(participants, recipe.rounds, clock, copy)
    own, baseline = times["own"], times["baseline"]
    metrics = {f"{phase}_ratio": ratio(own[phase], baseline[phase]) for phase in ("forward", "backward", WHOLE)}
    metrics |= {f"{phase}_seconds": statistics.median(own[phase]) for phase in ("forward", "backward", WHOLE)}
    metrics |= {"peak_memory_bytes": float(memory["own"]), "peak_memory_ratio": memory["own"] / memory["baseline"]}
    return metrics | (_roofline(times, steps["own"].x) if copy else {})


def _roofline(times: Times, x: torch.Tensor) -> dict[str, float]:
    """How long moving the bytes of batch norm takes at the speed of a copy in the same rounds, and how far above it the step is."""
    moved = roofline_bytes(tuple(x.shape), x.element_size()) / (2 * x.numel() * x.element_size())  # in copies
    copies = times[COPY][WHOLE]
    return {
        "copy_bandwidth": 2 * x.numel() * x.element_size() / statistics.median(copies),
        "roofline_seconds": moved * statistics.median(copies),
        "step_over_roofline": ratio(times["own"][WHOLE], copies) / moved,
    }


def no_compiler(device: torch.device) -> str | None:
    """Why torch.compile cannot work here, or None."""
    name = os.environ.get("CXX", "g++") if device.type == "cpu" else os.environ.get("CC", "gcc")
    if shutil.which(name):
        return None
    return f"torch.compile needs a compiler, and there is no {name} on this machine: install it, or name another one in CXX (on a GPU CC)"


def _network(arm: ArmSpec, recipe: Recipe, method: str | None = None) -> torch.nn.Module:
    """The arm's model with its own method, or with `method` at its defaults."""
    chosen = load_method(method or arm.method)
    return network_of(arm.model, chosen, chosen.params(**({} if method else arm.params)), recipe)
