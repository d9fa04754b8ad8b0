"""Translations of the test set by fairseq's beam search, and how good they are: sacreBLEU and chrF on text as people write it."""

import math
from argparse import Namespace
from collections.abc import Callable

import torch
from fairseq import utils
from fairseq.data import encoders
from fairseq.tasks import FairseqTask
from sacrebleu.metrics import BLEU, CHRF
from torch import nn

from normbench.core.errors import InputError
from normbench.training.distributed import collected, summed
from tasks.wmt.data import Corpus
from tasks.wmt.recipe import Recipe

TOKENS = 4000  # of a batch that is translated, padding counted
BPE = "@@ "


def translate(
    model: nn.Module, task: FairseqTask, corpus: Corpus, recipe: Recipe, rank: int = 0, world_size: int = 1
) -> tuple[dict[str, float], dict[str, str]]:
    """({bleu, chrf, test_loss}, {metric: signature}). test_loss: nats a token, of the references given the sources.

    rank, world_size: this process translates every world_size-th batch, and all learn what the others found.
    """
    task.load_dataset("test")
    ours, loss, tokens, device = {}, 0.0, 0, next(model.parameters()).device
    generator = task.build_generator([model], _search(recipe))
    read = reader(task, corpus)
    model.eval()
    for sample in _batches(task, device, rank, world_size):
        for number, found in zip(sample["id"].tolist(), task.inference_step(generator, [model], sample), strict=True):
            ours[number] = read(found[0]["tokens"])
        loss, tokens = loss + _loss(model, sample), tokens + sample["ntokens"]
    loss, tokens = summed([loss, tokens], device)
    found = dict(pair for pairs in collected(list(ours.items()), device) for pair in pairs)
    return _compare([found.get(number, "") for number in range(len(task.dataset("test")))], corpus, loss / tokens)


def _search(recipe: Recipe) -> Namespace:
    return Namespace(beam=recipe.beam, lenpen=recipe.length_penalty, max_len_a=recipe.max_len_a, max_len_b=recipe.max_len_b)


def _batches(task: FairseqTask, device: torch.device, rank: int, world_size: int):
    limits = utils.resolve_max_positions(task.max_positions())
    share = {"num_shards": world_size, "shard_id": rank}
    batches = task.get_batch_iterator(task.dataset("test"), max_tokens=TOKENS, max_positions=limits, **share).next_epoch_itr(shuffle=False)
    for sample in filter(None, batches):  # shares are filled up with empty ones
        yield utils.move_to_cuda(sample, device) if device.type == "cuda" else sample


@torch.no_grad()
def _loss(model: nn.Module, sample: dict) -> float:
    logits = model(**sample["net_input"])[0].float()
    padding = model.decoder.padding_idx
    return float(nn.functional.cross_entropy(logits.flatten(0, 1), sample["target"].flatten(), ignore_index=padding, reduction="sum"))


def reader(task: FairseqTask, corpus: Corpus) -> Callable[[torch.Tensor], str]:
    """tokens -> text as people write it."""
    words = task.target_dictionary
    if corpus.pieces is not None:
        pieces = encoders.build_bpe(Namespace(bpe="sentencepiece", sentencepiece_model=str(corpus.pieces)))
        return lambda tokens: pieces.decode(words.string(tokens.int().cpu()))
    moses = encoders.build_tokenizer(Namespace(tokenizer="moses", source_lang=corpus.source, target_lang=corpus.target))
    return lambda tokens: moses.decode(words.string(tokens.int().cpu(), BPE))


def _compare(hypotheses: list[str], corpus: Corpus, loss: float) -> tuple[dict[str, float], dict[str, str]]:
    references = corpus.reference.read_text(encoding="utf-8").splitlines()
    if len(references) != len(hypotheses):
        raise InputError(f"data: {corpus.reference} has {len(references):,} lines for {len(hypotheses):,} sentences of the test set")
    bleu, chrf = BLEU(), CHRF()
    metrics = {"bleu": bleu.corpus_score(hypotheses, [references]).score, "chrf": chrf.corpus_score(hypotheses, [references]).score}
    if math.isfinite(loss):
        metrics["test_loss"] = loss
    return metrics, {"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())}
