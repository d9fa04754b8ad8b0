"""Trainings by fairseq: its own losses where the method is layer norm, exact resumption, divergence, averaging, what is recorded."""

import json
import logging
import math
import os
import shutil
import signal

import pytest
import torch
from clock import Clock
from facts import mistake
from fairseq_cli import train as fairseq_train

from normbench.config.spec import arm_from
from normbench.config.tasks import load_adapter, read_task
from normbench.execution.task_api import Context
from normbench.training.checkpoint import Checkpoints
from normbench.training.loop import Interrupted
from tasks.wmt import adapter, data, training
from tasks.wmt.recipe import Recipe
from tests.wmt_samples import RECIPE, an_arm, small_corpus

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(autouse=True)
def only_this_corpus(monkeypatch, corpus):
    monkeypatch.setattr(data, "corpus", lambda dataset, root, verify=False: corpus)


def context(folder=None, progress=None) -> Context:
    checkpoints = None if folder is None else Checkpoints(folder / "run.pt", "this", 1e9)
    return Context(CPU, folder, checkpoints, progress=progress)


def train(arm, folder, seed=0, corpus=None, **watching):
    """fairseq's training alone: (what came of it, the last weights)."""
    training.claim(folder, "this")
    recipe = Recipe(**arm.recipe)
    cfg = training.configuration(training.command(arm, seed, corpus, folder, cpu=True))
    trained = training.fit(cfg, arm, recipe, training.Monitor(evaluated=frozenset(recipe.evaluated()), **watching), folder)
    return trained, training.load(folder / training.LAST)


def fairseqs_own(arguments: list[str], log) -> list[str]:
    """The same command with nothing of the plug-in, and with fairseq's log of every step."""
    ours = {"normbench_translation": "translation", "normbench_transformer": "transformer", "normbench_adam": "adam", "none": "json"}
    plain, skip = [], 0
    for word in arguments:
        if skip or word in ("--user-dir", "--method", "--method-params", "--calibration-batches"):
            skip = 0 if skip else 1
            continue
        plain.append(ours.get(word, word))
    plain[plain.index("--log-interval") + 1] = "1"
    return [*plain, "--log-file", str(log)]


@pytest.mark.parametrize("norm_first", [False, True], ids=["post-norm", "pre-norm"])
def test_losses_are_fairseqs_own_where_the_method_is_layer_norm(tmp_path, corpus, norm_first, caplog):
    caplog.set_level(logging.INFO, logger="fairseq.logging.progress_bar")
    arm = an_arm(norm_first=norm_first, recipe={"weight_decay": 0.01, "clip_norm": 1.0, "update_freq": 2})
    mine, my_state = train(arm, tmp_path / "ours", seed=3, corpus=corpus)
    log = tmp_path / "log"
    command = training.command(arm, 3, corpus, tmp_path / "theirs", cpu=True)
    fairseq_train.main(training.configuration(fairseqs_own(command, log)))
    their_state = training.load(tmp_path / "theirs" / training.LAST)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    losses = {int(row["num_updates"]): float(row["loss"]) * math.log(2) for row in lines if "gnorm" in row and "train_loss" not in row}
    assert set(losses) == set(range(1, RECIPE["steps"] + 1))
    for step, value in mine.curves["train_loss"]:
        assert value == pytest.approx(losses[step], abs=1e-3)  # fairseq writes three decimals
    assert list(my_state["model"]) == list(their_state["model"])
    for name, weight in my_state["model"].items():
        assert torch.equal(weight, their_state["model"][name]), name


@pytest.mark.parametrize("method, stopped", [("batch_norm", 7), ("rescalenet", 2)])
def test_a_stopped_run_ends_like_one_that_was_not(tmp_path, corpus, method, stopped):
    arm = an_arm(method, recipe={"averaged": 2})
    whole, weights = train(arm, tmp_path / "whole", corpus=corpus)

    def stop(step, loss):
        if step == stopped:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(arm, tmp_path / "cut", corpus=corpus, after_step=stop)
    assert training.load(tmp_path / "cut" / training.LAST)["extra_state"]["MethodTranslation"]["step"] == stopped
    same(train(arm, tmp_path / "cut", corpus=corpus), (whole, weights))
    averaged = [training.averaged_weights(tmp_path / name, Recipe(**arm.recipe)) for name in ("whole", "cut")]
    assert averaged[0][1] == averaged[1][1] == 2
    assert all(torch.equal(value, averaged[1][0][name]) for name, value in averaged[0][0].items())


def test_a_killed_run_goes_on_from_the_last_whole_checkpoint(tmp_path, corpus):
    arm = an_arm()
    whole = train(arm, tmp_path / "whole", corpus=corpus)

    def kill(step, loss):
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(arm, tmp_path / "cut", corpus=corpus, after_step=kill)
    last = tmp_path / "cut" / training.LAST
    assert 0 < training.load(last)["extra_state"]["MethodTranslation"]["step"] < 7
    last.write_bytes(last.read_bytes()[:1000])  # killed while fairseq copied it
    same(train(arm, tmp_path / "cut", corpus=corpus), whole)


def test_a_finished_training_is_not_trained_again(tmp_path, corpus):
    arm = an_arm()
    whole = train(arm, tmp_path, corpus=corpus)
    same(train(arm, tmp_path, corpus=corpus, after_step=lambda step, loss: pytest.fail("a step more")), whole)


def same(one, other):
    (trained, state), (again, weights) = one, other
    assert (trained.status, trained.step, trained.curves) == (again.status, again.step, again.curves)
    assert list(state["model"]) == list(weights["model"])
    assert all(torch.equal(value, weights["model"][name]) for name, value in state["model"].items())


def test_runs_of_one_process_know_nothing_of_each_other(tmp_path, corpus):
    first, weights = train(an_arm(), tmp_path / "a", seed=1, corpus=corpus)
    other, _ = train(an_arm("rezero"), tmp_path / "b", seed=2, corpus=corpus)
    same(train(an_arm(), tmp_path / "c", seed=1, corpus=corpus), (first, weights))
    seeds = train(an_arm(), tmp_path / "d", seed=2, corpus=corpus)[0]
    assert first.curves["train_loss"] != other.curves["train_loss"] and first.curves["train_loss"] != seeds.curves["train_loss"]


def test_what_diverges_is_a_result(tmp_path, corpus):
    arm = an_arm("none", recipe={"lr": 1e4, "warmup": 1})
    result = adapter.run(arm, 0, context(tmp_path))
    assert result.trained.status == "diverged" and 1 < result.trained.step <= RECIPE["steps"]
    assert result.trained.cause in (
        "the training loss exceeded 10,000 nats",
        "the training loss is not finite",
        "the gradients are not finite",
    )
    assert result.metrics == {} and result.sites and result.n_parameters


def test_a_run_gives_only_declared_numbers_and_its_signatures(tmp_path, corpus):
    told = []
    result = adapter.run(an_arm("fixup", recipe={"averaged": 3}), 0, context(tmp_path, lambda *seen: told.append(seen)))
    task = read_task("wmt")
    assert result.trained.status == "finished" and set(result.metrics) == set(task.metrics)
    assert all(math.isfinite(v) and v >= 0 for v in result.metrics.values())
    assert result.notes["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert result.notes["chrf"].startswith("nrefs:1|") and result.notes["averaged checkpoints"] == "3"
    assert result.engine.startswith("fairseq 0.12") and result.data_sha256 == corpus.sha256
    assert [step for step, _ in result.trained.curves["train_loss"]] == list(range(1, RECIPE["steps"] + 1))
    assert [step for step, _ in result.trained.curves["valid_loss"]] == [4, 8, 12]
    assert len(result.trained.curves["gradient_norm"]) == RECIPE["steps"] and told[-1][:2] == (told[-1][0], RECIPE["steps"])


def test_a_model_that_has_learned_translates(tmp_path, corpus):
    """The corpus turns sentences around, and a hundred steps teach a part of that."""
    arm = an_arm(recipe={"steps": 100, "evaluations": 1, "max_tokens": 600, "dropout": 0.0, "warmup": 20}, width=32, feedforward=64)
    metrics = adapter.run(arm, 0, context(tmp_path)).metrics
    assert (
        metrics["bleu"] > 5 and metrics["chrf"] > 30 and metrics["test_loss"] == pytest.approx(metrics["valid_loss"], rel=1e-5)
    )  # the two sets are the same sentences


def test_a_checkpoint_of_another_method_is_one_sentence_and_nothing_is_lost(tmp_path, corpus):
    train(an_arm("rezero"), tmp_path, corpus=corpus)
    before = sorted(path.name for path in tmp_path.iterdir())
    with mistake(tmp_path / training.LAST, "rezero {}", "layer_norm {}"):
        train(an_arm(), tmp_path, corpus=corpus)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_another_specs_checkpoints_are_removed(tmp_path, corpus):
    train(an_arm("rezero"), tmp_path, corpus=corpus)
    training.claim(tmp_path, "other")
    assert [path.name for path in tmp_path.iterdir()] == [training.IDENTITY]


def test_two_vocabularies_cannot_share_all_embeddings(tmp_path, corpus):
    folder = tmp_path / "corpus"
    shutil.copytree(corpus.folder, folder)
    lines = (folder / "dict.de.txt").read_text().splitlines()
    (folder / "dict.de.txt").write_text("\n".join([*lines[:-1], "new 1"]) + "\n")
    with mistake("differ", "shares all embeddings"):
        task = adapter.tasks.setup_task(training.configuration(training.command(an_arm(), 0, replaced(corpus, folder), folder, True)).task)
        adapter._same_vocabulary(an_arm(), corpus, task)


def replaced(corpus, folder):
    return data.Corpus(folder, corpus.source, corpus.target, corpus.reference, corpus.pieces, corpus.sha256)


def test_first_batches_hold_no_padding_and_gradients_are_clipped(tmp_path, corpus):
    arm = an_arm("nf_resnet", norm_first=True)
    cfg = training.configuration(training.command(arm, 0, corpus, tmp_path, cpu=True))
    task = adapter.tasks.setup_task(cfg.task)
    model = task.build_model(cfg.model)
    task.load_dataset("train")
    batches = task.first_batches(5)
    assert len(batches) == 5
    for batch in batches:
        assert (
            not batch["src_tokens"].eq(task.source_dictionary.pad()).any()
            and not batch["prev_output_tokens"].eq(task.target_dictionary.pad()).any()
        )
    weight = model.encoder.layers[0].fc1.parametrizations.weight.original
    weight.grad = torch.full_like(weight, 1e3)
    task.optimizer_step(type("Optimizer", (), {"step": lambda self: None})(), model, 0)
    assert float(weight.grad.norm()) < 1


def test_the_task_is_found():
    assert load_adapter("wmt") is adapter
    arm = an_arm()
    assert arm_from({**arm.__dict__}) == arm


@pytest.mark.parametrize("seconds, told", [(0.2, [1, 4, 7]), (2.0, [1, 2, 3, 4, 5, 6, 7, 8])])
def test_progress_is_told_at_most_twice_a_second_and_of_each_slow_step(monkeypatch, seconds, told):
    clock, steps = Clock(), []
    monkeypatch.setattr(adapter, "time", clock)
    show = adapter._shown(context(progress=lambda step, total, loss: steps.append((step, total))), 8)
    for step in range(1, 9):
        clock.now += seconds
        show(step, 1.0)
    assert steps == [(step, 8) for step in told]
