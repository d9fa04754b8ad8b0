"""fairseq's translation task with what a method needs of a training, and with someone who watches it."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import torch
from fairseq.data import data_utils
from fairseq.logging import metrics
from fairseq.tasks import register_task
from fairseq.tasks.translation import TranslationConfig, TranslationTask
from omegaconf import II
from torch import Tensor, nn

from .monitor import Monitor
from .optimizer import mark_groups

NAME = "normbench_translation"
next_monitor: Monitor | None = None  # of the training that begins next in this process: fairseq makes its task itself


@dataclass
class MethodTranslationConfig(TranslationConfig):
    calibration_batches: int = field(default=8, metadata={"help": "first batches that a method may calibrate on"})
    max_tokens: int | None = II("dataset.max_tokens")
    seed: int = II("common.seed")
    weight_decay: float = field(default=0.0, metadata={"help": "the optimizer's, where the method wants no other"})


class Inputs(nn.Module):
    """`model` called with one batch of fairseq's inputs, as methods call a model to calibrate."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: dict[str, Tensor]):
        return self.model(**batch)


@register_task(NAME, dataclass=MethodTranslationConfig)
class MethodTranslation(TranslationTask):
    def __init__(self, cfg, src_dict, tgt_dict):
        global next_monitor
        super().__init__(cfg, src_dict, tgt_dict)
        self.monitor, next_monitor = next_monitor or Monitor(), None

    def build_model(self, cfg, from_checkpoint=False):
        model = super().build_model(cfg, from_checkpoint)
        mark_groups(model, self.cfg.weight_decay)
        return model

    def begin_epoch(self, epoch, model):
        super().begin_epoch(epoch, model)
        if not self.monitor.calibrated:
            self.calibrate(model)
            self.monitor.calibrated = True

    def calibrate(self, model: nn.Module) -> None:
        """Show the method the first batches of the training, without padding: of each the pairs of its commonest lengths."""
        if "calibrate" not in model.method.defined:
            return
        device = next(model.parameters()).device
        batches = [{name: part.to(device) for name, part in batch.items()} for batch in self.first_batches(self.cfg.calibration_batches)]
        torch.manual_seed(self.cfg.seed)
        model.method.calibrate(Inputs(model), model.sites, model.method_params, batches)

    def first_batches(self, count: int) -> list[dict[str, Tensor]]:
        dataset = self.dataset(self.cfg.train_subset)
        epoch = self.get_batch_iterator(dataset, max_tokens=self.cfg.max_tokens, seed=self.cfg.seed, disable_iterator_cache=True)
        batches = list(epoch.frozen_batches)
        with data_utils.numpy_seed(self.cfg.seed + 1):  # as fairseq orders its first epoch
            np.random.shuffle(batches)
        return [dataset.collater([dataset[i] for i in self._of_one_length(dataset, batch)])["net_input"] for batch in batches[:count]]

    @staticmethod
    def _of_one_length(dataset, batch: list[int]) -> list[int]:
        lengths = {i: (int(dataset.src_sizes[i]), int(dataset.tgt_sizes[i])) for i in batch}
        (commonest, _), *_ = Counter(lengths.values()).most_common()
        return [i for i in batch if lengths[i] == commonest]

    def train_step(self, sample, model, criterion, optimizer, update_num, ignore_grad=False):
        self.monitor.begin()
        return super().train_step(sample, model, criterion, optimizer, update_num, ignore_grad)

    def optimizer_step(self, optimizer, model, update_num):
        model.method.clip(model, model.sites, model.method_params)
        super().optimizer_step(optimizer, model, update_num)

    def post_save(self, path, num_updates):
        if self.monitor.after_save:
            self.monitor.after_save(path, num_updates)

    def post_validate(self, model, stats, agg):
        self.monitor.end_of_validation()

    def reduce_metrics(self, logging_outputs, criterion):
        super().reduce_metrics(logging_outputs, criterion)
        if self.monitor.began:  # in a training step, not in a validation
            size = sum(float(logged["sample_size"]) for logged in logging_outputs)
            loss = sum(float(logged["loss"]) for logged in logging_outputs) / size
            tokens, pairs = (sum(int(logged[what]) for logged in logging_outputs) for what in ("ntokens", "nsentences"))
            self.monitor.end(loss, tokens, pairs, float(metrics.get_meter("train", "gnorm").val))
        else:  # of all processes, and without what fairseq fills up their shares with
            for logged in logging_outputs:
                self.monitor.hold_out(float(logged["nll_loss"]), int(logged["ntokens"]))

    def get_checkpoint_dict(self):
        return {type(self).__name__: self.monitor.state_dict()}

    def set_checkpoint_dict(self, state):
        self.monitor.load_state_dict(state)
