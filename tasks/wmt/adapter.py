"""The wmt task: fairseq's transformer with the method in it, trained by fairseq, its translations compared with sacreBLEU."""

import contextlib
import logging
import math
import os
import tempfile
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("LOGLEVEL", "WARNING")  # fairseq configures the log of the whole process when it is imported
# fairseq is older than the torch and hydra under it, and says so at every step; none of it is about a run.
for module in ("fairseq", "hydra", "torch.jit", "tasks.wmt"):
    warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
for message in ("Support for mismatched key_padding_mask", "'pin_memory' argument is set", r"\s*'config' is validated"):
    warnings.filterwarnings("ignore", message=message)
for name in ("fairseq", "fairseq_cli", "hydra"):
    logging.getLogger(name).setLevel(logging.WARNING)

import fairseq  # noqa: E402
from fairseq import tasks  # noqa: E402
from fairseq.data import Dictionary  # noqa: E402

from normbench.config.spec import ArmSpec  # noqa: E402
from normbench.core.errors import InputError  # noqa: E402
from normbench.execution.task_api import Context, Result  # noqa: E402
from normbench.hooks.builder import Refused, count_parameters, refusal, what_stands  # noqa: E402
from normbench.training.distributed import wait_for_all  # noqa: E402
from normbench.training.loop import Trained  # noqa: E402
from normbench.training.window import CURVE_POINTS  # noqa: E402
from tasks.wmt import data, training  # noqa: E402
from tasks.wmt.recipe import Recipe  # noqa: E402
from tasks.wmt.translate import translate  # noqa: E402

ENGINE = f"fairseq {fairseq.__version__}"


def prepare(dataset: str, root: Path) -> str:
    """Make an embedded corpus or check the user's; returns its hash."""
    return data.prepare(dataset, root)


def check(arm: ArmSpec) -> str | None:
    """Build the arm's model without memory. Returns why the method refuses, None where it stands; raises InputError on mistakes."""
    words = Dictionary()  # how many words there are changes no site
    somewhere = data.Corpus(Path("data-bin"), "en", "de", Path("reference.de"), None, "")
    arguments = training.parsed(training.command(arm, 0, somewhere, Path("checkpoints"), cpu=True))
    return refusal(lambda: training.MethodTransformer.build_model(arguments, Namespace(source_dictionary=words, target_dictionary=words)))


def run(arm: ArmSpec, seed: int, context: Context) -> Result:
    """Train one run with fairseq, translate the test set, and compare."""
    recipe, corpus = Recipe(**arm.recipe), data.corpus(arm.dataset, context.data)
    with _folder(context) as folder:
        ours = {"rank": context.rank, "world_size": context.world_size, "gpu": context.device.index or 0}
        cfg = training.configuration(training.command(arm, seed, corpus, folder, cpu=context.device.type == "cpu", **ours))
        task = tasks.setup_task(cfg.task)
        _same_vocabulary(arm, corpus, task)
        try:
            model = task.build_model(cfg.model)
        except Refused as reason:
            return Result(Trained(status="refused", cause=str(reason)))
        monitor = training.Monitor(math.ceil(recipe.steps / CURVE_POINTS), frozenset(recipe.evaluated()), _shown(context, recipe.steps))
        result = Result(
            training.fit(cfg, arm, recipe, monitor, folder), sites=what_stands(model.sites), n_parameters=count_parameters(model)
        )
        result.data_sha256, result.engine = corpus.sha256, ENGINE
        if result.trained.status == "finished":
            weights, count = training.averaged_weights(folder, recipe)
            model.load_state_dict(weights, strict=True, model_cfg=cfg.model)
            translated, result.notes = translate(model.to(context.device), task, corpus, recipe, context.rank, context.world_size)
            result.metrics = {**translated, **_of_training(monitor, recipe.steps)}
            result.notes["averaged checkpoints"] = str(count)
        return result


def _of_training(monitor: training.Monitor, steps: int) -> dict[str, float]:
    """Means over the last tenth of the steps, and the speed of all."""
    late = {name: [v for step, v in monitor.curves[name] if step > 0.9 * steps] for name in ("train_loss", "gradient_norm")}
    metrics = {name: sum(values) / len(values) for name, values in late.items()}
    return {**metrics, "valid_loss": monitor.curves["valid_loss"][-1][1], "tokens_per_second": monitor.tokens / monitor.seconds}


def _shown(context: Context, total: int) -> Callable[[int, float], None] | None:
    """Tell of the progress twice a second."""
    if context.progress is None:
        return None
    last = [0.0]

    def show(step: int, loss: float) -> None:
        if (now := time.perf_counter()) - last[0] > 0.5:
            context.progress(step, total, loss)
            last[0] = now

    return show


@contextlib.contextmanager
def _folder(context: Context) -> Iterator[Path]:
    """Where fairseq keeps the run's checkpoints: beside the suite's own, or nowhere for long."""
    if context.checkpoints is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    folder = context.checkpoints.path.with_suffix("")
    if context.rank == 0:
        # fairseq would go on with another number of processes, but with other batches.
        alone = context.world_size == 1
        training.claim(folder, context.checkpoints.identity + ("" if alone else f" of {context.world_size} processes"))
    wait_for_all()
    yield folder


def _same_vocabulary(arm: ArmSpec, corpus: data.Corpus, task: tasks.FairseqTask) -> None:
    if arm.model["share_embeddings"] == "all" and task.source_dictionary != task.target_dictionary:
        raise InputError(
            f"data: {corpus.folder}: dict.{corpus.source}.txt and dict.{corpus.target}.txt differ, and the model shares all embeddings; "
            "run fairseq-preprocess with --joined-dictionary, or choose share_embeddings: decoder"
        )
