"""Training speed of our transformer with layer norm over fairseq's own, in tokens a second, with the same settings.

    python -m benchmarks.translation_speed [--rounds 15] [--steps 4]

fairseq's transformer base (6 + 6 layers of width 512) with its own task and Adam, and the plug-in's, on batches of
the embedded numbers: forward, loss, backward, clipping, update, logging, as fairseq's Trainer does them. Rounds alternate, one
thread, processor time; the figure is the median over rounds of the ratio of neighboring rounds.
Writes build/benchmarks/translation_speed.json.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from normbench.config.spec import ArmSpec
from normbench.config.tasks import read_task
from normbench.core.files import write_json
from normbench.training.precision import set_arithmetic
from tasks.wmt import adapter, data, training

OWN = {"normbench_translation": "translation", "normbench_transformer": "transformer", "normbench_adam": "adam"}
OURS = ("--user-dir", "--method", "--method-params", "--calibration-batches")
TOKENS = 1024


def fairseqs_own(command: list[str]) -> list[str]:
    """The same command with fairseq's model, task and optimizer."""
    drop = {i + j for i, word in enumerate(command) if word in OURS for j in (0, 1)}
    return [OWN.get(word, word) for i, word in enumerate(command) if i not in drop]


def trainer_of(command: list[str]):
    """(fairseq's trainer, its first batches)."""
    from fairseq.trainer import Trainer

    cfg = training.configuration(command)
    torch.manual_seed(0)
    task = adapter.tasks.setup_task(cfg.task)
    trainer = Trainer(cfg, task, task.build_model(cfg.model), task.build_criterion(cfg.criterion))
    batches = [[sample] for sample, _ in zip(trainer.get_train_iterator(1).next_epoch_itr(), range(8), strict=False)]
    return trainer, batches


def tokens_per_second(trainer, batches: list, steps: int) -> float:
    """Target tokens a processor second over so many steps."""
    began, tokens = time.process_time(), 0
    for step in range(steps):
        trainer.train_step(batches[step % len(batches)])
        tokens += batches[step % len(batches)][0]["ntokens"]
    return tokens / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4)
    args = parser.parse_args()
    set_arithmetic(1)
    root, folder = Path("build/data"), Path("build/benchmarks/checkpoints")
    data.prepare("numbers", root)
    task = read_task("wmt")
    recipe = {**task.recipes["wmt_base"], "max_tokens": TOKENS, "update_freq": 1, "precision": "float32"}
    command = training.command(
        ArmSpec("wmt", "numbers", task.models["transformer_base"], "layer_norm", {}, recipe),
        0,
        data.corpus("numbers", root),
        folder,
        cpu=True,
    )
    sides = {"ours": trainer_of(command), "fairseq": trainer_of(fairseqs_own(command))}
    for trainer, batches in sides.values():
        tokens_per_second(trainer, batches, 2)
    pairs = []
    for turn in range(args.rounds):
        order = ("ours", "fairseq") if turn % 2 else ("fairseq", "ours")
        speeds = {name: tokens_per_second(*sides[name], args.steps) for name in order}
        pairs.append((speeds["ours"], speeds["fairseq"]))
    ours, theirs = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"tokens a second: {ours:.0f} with the plug-in, {theirs:.0f} with fairseq's transformer, ratio {ratio:.3f} (at least 0.97)")
    write_json(Path("build/benchmarks/translation_speed.json"), {"ratio": ratio, "ours": ours, "fairseq": theirs, "rounds": args.rounds})


if __name__ == "__main__":
    main()
