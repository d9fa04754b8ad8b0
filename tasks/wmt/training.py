"""One training by fairseq: its command line, its checkpoints, its end.

The folder of a run holds what fairseq writes: checkpoint_last.pt at the end of each epoch and at each evaluation, and
checkpoint_<epoch>_<step>.pt of the last evaluations. An interrupted run goes on from checkpoint_last.pt, exactly: fairseq seeds
every step by its number.
"""

import contextlib
import json
import shutil
import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fairseq import checkpoint_utils, options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.utils import import_user_module
from fairseq_cli import train as fairseq_train
from torch import Tensor

from normbench.config.spec import ArmSpec
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.training.distributed import any_of, wait_for_all
from normbench.training.loop import Interrupted, Trained
from tasks.wmt.data import Corpus
from tasks.wmt.recipe import Recipe

PLUGIN = Path(__file__).resolve().parent / "normbench_fairseq"
search_path = list(sys.path)
import_user_module(Namespace(user_dir=str(PLUGIN)))
sys.path[:] = search_path  # where fairseq put this folder first: in processes started later it would hide modules of the same names

import normbench_fairseq  # noqa: E402
from normbench_fairseq.model import MethodTransformer as MethodTransformer  # noqa: E402
from normbench_fairseq.monitor import Diverged, Monitor  # noqa: E402

LAST, KEPT = "checkpoint_last.pt", "evaluated_"
IDENTITY = "identity"
NEVER = 10**9
SHARED = {"all": ["--share-all-embeddings"], "decoder": ["--share-decoder-input-output-embed"], "none": []}


def command(
    arm: ArmSpec, seed: int, corpus: Corpus, folder: Path, cpu: bool, rank: int = 0, world_size: int = 1, gpu: int = 0
) -> list[str]:
    """The arguments of fairseq-train. `--arch` and `--task` are the plug-in's; every other option is fairseq's own.

    rank, world_size: this process among those that take the batches of a step together, which are then as many as in one process;
    gpu: its own.
    """
    recipe = Recipe(**arm.recipe)
    return [
        *(str(corpus.folder), "--user-dir", str(PLUGIN), "--task", "normbench_translation", "--arch", "normbench_transformer"),
        *("--source-lang", corpus.source, "--target-lang", corpus.target),
        *("--method", arm.method, "--method-params", json.dumps(arm.params, sort_keys=True)),
        *_model(arm.model, recipe),
        *("--optimizer", "normbench_adam", "--adam-betas", str(tuple(recipe.betas)), "--lr", str(recipe.lr)),
        *("--lr-scheduler", "inverse_sqrt", "--warmup-updates", str(recipe.warmup), "--warmup-init-lr", "1e-07"),
        *("--weight-decay", str(recipe.weight_decay), "--clip-norm", str(recipe.clip_norm)),
        *("--criterion", "label_smoothed_cross_entropy", "--label-smoothing", str(recipe.label_smoothing)),
        *(
            "--max-tokens",
            str(recipe.max_tokens),
            "--update-freq",
            str(_batches_of_a_process(recipe, world_size)),
            "--max-update",
            str(recipe.steps),
        ),
        *(
            "--required-batch-size-multiple",
            "1",
        ),  # with its 8 fairseq drops the last batch, the longest sentences, wherever that is no multiple
        *("--calibration-batches", str(recipe.calibration_batches), "--seed", str(seed)),
        *("--save-dir", str(folder), "--save-interval-updates", str(recipe.interval), "--keep-interval-updates", "1"),
        *("--no-epoch-checkpoints", "--validate-interval", str(NEVER), "--validate-interval-updates", str(recipe.interval)),
        *("--log-format", "none", "--log-interval", str(NEVER), "--num-workers", "0" if cpu else "2"),
        *_together(rank, world_size, gpu, cpu),
        *(["--cpu"] if cpu else []),
        *(["--amp"] if recipe.precision == "amp_float16" else []),
    ]


def _batches_of_a_process(recipe: Recipe, world_size: int) -> int:
    if recipe.update_freq % world_size:
        raise InputError(f"recipe: update_freq: {recipe.update_freq} batches of a step cannot be shared evenly by {world_size} processes")
    return recipe.update_freq // world_size


def _together(rank: int, world_size: int, gpu: int, cpu: bool) -> list[str]:
    """fairseq's own distributed training, in processes that torchrun started and that can talk already."""
    words = ["--distributed-world-size", str(world_size)]
    if world_size == 1:
        return words
    words += ["--distributed-rank", str(rank), "--device-id", str(gpu), "--distributed-no-spawn", "--distributed-init-method", "env://"]
    words += ["--load-checkpoint-on-all-dp-ranks"]
    return words + (["--distributed-backend", "gloo", "--ddp-backend", "legacy_ddp"] if cpu else [])  # the other one is for GPUs


def _model(model: dict[str, Any], recipe: Recipe) -> list[str]:
    options = ["--activation-fn", model.get("activation", "relu")]
    for side, layers in zip(("encoder", "decoder"), model["layers"], strict=True):
        sizes = {"layers": layers, "embed-dim": model["width"], "ffn-embed-dim": model["feedforward"], "attention-heads": model["heads"]}
        options += [word for name, size in sizes.items() for word in (f"--{side}-{name}", str(size))]
        options += [f"--{side}-normalize-before"] if model["norm_first"] else []
    options += SHARED[model["share_embeddings"]] + (["--layernorm-embedding"] if model.get("norm_embedding") else [])
    dropouts = {"dropout": recipe.dropout, "attention-dropout": recipe.attention_dropout, "activation-dropout": recipe.activation_dropout}
    return options + [word for name, share in dropouts.items() for word in (f"--{name}", str(share))]


def parsed(arguments: list[str]) -> Namespace:
    """A command line as fairseq-train reads it; what a model is built from."""
    return options.parse_args_and_arch(options.get_training_parser(), arguments)


def configuration(arguments: list[str]) -> Any:
    """The same as the configuration of a training."""
    return convert_namespace_to_omegaconf(parsed(arguments))


def fit(cfg: Any, arm: ArmSpec, recipe: Recipe, monitor: Monitor, folder: Path) -> Trained:
    """Train from where `folder` stands to the end or to divergence; curves and speed are in `monitor` and in what is returned."""
    rank, cause = cfg.distributed_training.distributed_rank, None
    if rank:
        wait_for_all()  # the first process puts in order what the others then read
    state = last_checkpoint(folder, arm)
    if not rank:
        wait_for_all()
    if state is not None:
        monitor.load_state_dict(state["extra_state"]["MethodTranslation"])
    monitor.after_save = keep(folder, recipe)
    step = recipe.steps
    try:
        if monitor.step < recipe.steps:  # fairseq would train one more step where none is left
            _train(cfg, monitor)
    except Diverged as end:
        step, cause = end.step, end.cause
    except Exception as error:
        # fairseq runs such a step again to look for its first layer, and with newer torch that itself may fail.
        if not isinstance(error, FloatingPointError) and not isinstance(error.__context__, FloatingPointError):
            raise
        step, cause = monitor.step + 1, "the gradients are not finite"
    wait_for_all()  # the first process has written its checkpoints
    monitor.close()
    trained = Trained(step=step, seconds=monitor.seconds, step_seconds=monitor.seconds, samples=monitor.pairs, curves=monitor.curves)
    if cause is not None:
        trained.status, trained.cause = "diverged", cause
    return trained


def _train(cfg: Any, monitor: Monitor) -> None:
    """fairseq-train in this process. Raises Interrupted after SIGTERM, with the checkpoint written."""
    with contextlib.suppress(AttributeError):
        del checkpoint_utils.save_checkpoint.best  # of the training before, which fairseq would take for this one's
    device = torch.device("cpu") if cfg.common.cpu else torch.device("cuda", torch.cuda.current_device())
    with _stop_signal() as stop:
        shown = monitor.after_step

        def after_step(step: int, loss: float) -> None:
            if shown:
                shown(step, loss)
            if any_of([stop.is_set()], device)[0]:
                cfg.optimization.stop_time_hours = 1e-9  # fairseq saves and ends where its time is over

        monitor.after_step = after_step
        normbench_fairseq.task.next_monitor = monitor
        fairseq_train.main(cfg)
        # Told to stop in the last step, the job stops all the same: going on from here is then only to translate.
        if any_of([stop.is_set()], device)[0] or monitor.step < cfg.optimization.max_update:
            raise Interrupted


@contextlib.contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """SIGTERM becomes an event; only the main thread may ask for that."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, old)


def claim(folder: Path, identity: str) -> None:
    """Make `folder` that of this very run: what another spec or other code left there is removed."""
    mark = folder / IDENTITY
    if mark.is_file() and mark.read_text(encoding="utf-8") == identity:
        return
    shutil.rmtree(folder, ignore_errors=True)
    with whole_file(mark, "w") as file:
        file.write(identity)


def last_checkpoint(folder: Path, arm: ArmSpec) -> dict[str, Any] | None:
    """The newest whole checkpoint, put where fairseq looks for it; None where there is none. Raises InputError on another method's."""
    paths = sorted(folder.glob("checkpoint_*_*.pt"), key=lambda path: int(path.stem.rsplit("_", 1)[1]), reverse=True)
    for path in (folder / LAST, *paths):
        state = load(path)
        if state is None:
            continue
        model = state["cfg"]["model"]
        if (model.method, json.loads(model.method_params)) != (arm.method, arm.params):
            raise InputError(
                f"{path}: is a checkpoint of {model.method} {model.method_params}, and this run trains {arm.method} "
                f"{json.dumps(arm.params)}; move it away, and the run starts anew"
            )
        if path.name != LAST:
            shutil.copyfile(path, folder / f".{LAST}")
            (folder / f".{LAST}").replace(folder / LAST)
        return state
    (folder / LAST).unlink(missing_ok=True)
    return None


def load(path: Path) -> dict[str, Any] | None:
    """fairseq's checkpoint at `path`, None where it is missing or cut short."""
    if not path.is_file():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds; a killed copy is not worth more than one sentence elsewhere
        return None


def keep(folder: Path, recipe: Recipe) -> Callable[[str, int], None]:
    """What is done with a checkpoint that fairseq has just written: at evaluations the last `averaged` are kept."""

    def after_save(path: str, step: int) -> None:
        if recipe.averaged > 1 and step in recipe.evaluated():
            unfinished = folder / f".{KEPT}{step}.pt"
            shutil.copyfile(path, unfinished)
            unfinished.replace(folder / f"{KEPT}{step}.pt")
            for old in recipe.evaluated()[: -recipe.averaged]:
                if old <= step - recipe.averaged * recipe.interval:
                    (folder / f"{KEPT}{old}.pt").unlink(missing_ok=True)

    return after_save


def averaged_weights(folder: Path, recipe: Recipe) -> tuple[dict[str, Tensor], int]:
    """(mean of the weights at the last evaluations, how many they are); the last weights where only one is wanted."""
    paths = [folder / f"{KEPT}{step}.pt" for step in recipe.evaluated()[-recipe.averaged :]] if recipe.averaged > 1 else [folder / LAST]
    models = []
    for path in paths:
        state = load(path)
        if state is None:
            raise InputError(f"{path}: is missing or cut short, and the translations need it; remove {folder}, and the run starts anew")
        models.append(state["model"])
    mean = {
        name: torch.stack([m[name].double() for m in models]).mean(0).to(value.dtype) if value.is_floating_point() else value
        for name, value in models[-1].items()
    }
    return mean, len(models)
