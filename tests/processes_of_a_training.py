"""What tests/test_parallel.py starts in two processes: the shared loop on a share of each batch, and the imagenet task's batches."""

import os
import sys
from pathlib import Path

import torch
from torch import nn
from trainings import batch, recipe, small_net, training

from normbench.core.errors import InputError
from normbench.training.checkpoint import Checkpoints
from normbench.training.classification import evaluate
from normbench.training.distributed import from_torchrun, together
from normbench.training.loop import Interrupted, Trained, fit

CPU = torch.device("cpu")
NETS = {
    "layer_norm": lambda: small_net("layer_norm"),
    "group_norm": lambda: small_net("group_norm", params={"num_groups": 2}),
    "batch_norm": small_net,
    "dropout": lambda: small_net("layer_norm", drop_fc=0.5),
}


def shared_batches(rank: int, size: int):
    """Batches in float64 of which each process takes every `size`-th sample."""

    def source(start):
        step = start
        while True:
            x, y = batch(step)
            yield x[rank::size].double(), y[rank::size]
            step += 1

    return source


def held_out(rank: int = 0, size: int = 1) -> list:
    """A process's share of three batches of five samples: three and two."""
    return [(x[rank:5:size].double(), y[rank:5:size]) for x, y in map(batch, (100, 101, 102))]


def trained(name: str, rank: int = 0, size: int = 1, path: Path | None = None, kill: int | None = None, **fields):
    """(model, Trained) of a training in float64; told to stop by a signal in step `kill` of the last process alone."""
    torch.manual_seed(0)
    model = NETS[name]().double()
    source = shared_batches(rank, size)

    def told(start):
        for step, found in enumerate(source(start), start):
            if kill == step and rank == size - 1:
                os.kill(os.getpid(), 15)
            yield found

    made = recipe(evaluations=2, grad_clip=1.0, **fields)
    job = training(model, made, batches=told, evaluate=lambda net: evaluate(net, held_out(rank, size)), rank=rank, world_size=size)
    job.checkpoints = Checkpoints(path, "this", 0 if kill is None else 1e9) if path else None
    return model, fit(job)


def ended_with(model: nn.Module, found: Trained) -> dict:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return {"state": state, "curves": found.curves, "samples": found.samples, "next_draw": float(torch.rand(()))}


def main() -> None:
    torch.set_num_threads(1)
    folder, processes = Path(sys.argv[1]), from_torchrun()
    who = {"rank": processes.rank, "size": processes.size}
    results = {}
    with together(processes, CPU):
        for name in NETS:
            model, found = trained(name, **who)
            results[name] = ended_with(model, found)
        model, found = trained("layer_norm", **who, device_batch_size=2)
        results["accumulated"] = ended_with(model, found)
        stopped = 0
        try:
            trained("dropout", **who, path=folder / "run.pt", kill=3)
        except Interrupted:
            stopped = 1
        stopped_after = Checkpoints(folder / "run.pt", "this", 0).load(CPU)["step"]
        model, found = trained("dropout", **who, path=folder / "run.pt")
        try:  # the checkpoint lies in a folder that the last process does not see
            trained("dropout", **who, path=folder / ("run.pt" if processes.first else "elsewhere.pt"))
            results["apart"] = ""
        except InputError as error:
            results["apart"] = str(error)
        results["resumed"] = {**ended_with(model, found), "stopped": stopped, "stopped_after": stopped_after}
    torch.save(results, folder / f"rank{processes.rank}.pt")


if __name__ == "__main__":
    main()
