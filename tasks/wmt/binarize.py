"""From parallel text to what fairseq trains on: shared subwords (sentencepiece), then fairseq-preprocess. The same for every corpus.

<out>/sentencepiece.model                      subwords of both languages together, learned from the training text
<out>/dict.<language>.txt                      the vocabulary, the same for both
<out>/{train,valid,test}.<s>-<t>.<language>.{bin,idx}
<out>/reference.<target>                       the test text as it was, which translations are compared with
"""

import os
import shutil
from pathlib import Path

import sentencepiece

from normbench.core.files import whole_file
from tasks.wmt.text import SPLITS

SENTENCES = 4_000_000  # that subwords are learned from, at most; drawn at random where there are more
LARGE = 10_000_000  # bytes of training text for which more than one process pays
SUBWORDS = "sentencepiece.model"


def binarize(text: Path, out: Path, languages: tuple[str, str], vocabulary: int) -> None:
    """Write `out`, whole or not at all, from the checked folder `text`. vocabulary: subwords, at most."""
    unfinished = out.with_name(f".{out.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _learn(text, unfinished, languages, vocabulary)
        _apply(text, unfinished, languages)
        large = (text / f"train.{languages[0]}").stat().st_size > LARGE
        _preprocess(unfinished, languages, workers=os.cpu_count() or 1 if large else 1)
        shutil.copyfile(text / f"test.{languages[1]}", unfinished / f"reference.{languages[1]}")
        shutil.rmtree(out, ignore_errors=True)
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _learn(text: Path, out: Path, languages: tuple[str, str], vocabulary: int) -> None:
    sentencepiece.set_random_generator_seed(0)
    sentencepiece.SentencePieceTrainer.train(
        input=[str(text / f"train.{language}") for language in languages],
        model_prefix=str(out / SUBWORDS.removesuffix(".model")),
        vocab_size=vocabulary,
        model_type="bpe",
        hard_vocab_limit=False,
        character_coverage=1.0,
        input_sentence_size=SENTENCES,
        shuffle_input_sentence=True,
        num_threads=1,
        minloglevel=2,
    )
    out.joinpath("sentencepiece.vocab").unlink()


def _apply(text: Path, out: Path, languages: tuple[str, str]) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(out / SUBWORDS))
    for split in SPLITS:
        for language in languages:
            with open(text / f"{split}.{language}", encoding="utf-8") as lines, whole_file(out / f"{split}.{language}", "w") as file:
                file.writelines(" ".join(pieces.encode(line.strip(), out_type=str)) + "\n" for line in lines)


def _preprocess(out: Path, languages: tuple[str, str], workers: int) -> None:
    from fairseq import options  # slow to import, and needed only where there is something to do
    from fairseq_cli import preprocess

    source, target = languages
    prefixes = [part for split in SPLITS for part in (f"--{split}pref", str(out / split))]
    command = ["--source-lang", source, "--target-lang", target, *prefixes, "--destdir", str(out), "--joined-dictionary"]
    preprocess.main(options.get_preprocessing_parser().parse_args([*command, "--workers", str(workers)]))
    for split in SPLITS:
        for language in languages:
            (out / f"{split}.{language}").unlink()
