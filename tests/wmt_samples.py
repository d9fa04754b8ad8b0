"""What the tests of the wmt task share: small models and a small corpus of made-up words."""

from argparse import Namespace
from pathlib import Path

import torch
from fairseq.data import Dictionary
from fairseq.models.transformer import TransformerModel

from normbench.config.spec import ArmSpec
from tasks.wmt import data, training
from tasks.wmt.binarize import binarize
from tasks.wmt.recipe import Recipe

WIDTH, WORDS = 16, 30
MODEL = {
    "family": "transformer",
    "layers": [2, 2],
    "width": WIDTH,
    "feedforward": 24,
    "heads": 2,
    "norm_first": False,
    "share_embeddings": "all",
}
RECIPE = {"steps": 12, "max_tokens": 60, "lr": 0.01, "warmup": 4, "dropout": 0.1, "evaluations": 3, "beam": 2}


def an_arm(method: str = "layer_norm", params: dict | None = None, recipe: dict | None = None, **model) -> ArmSpec:
    made = Recipe(**{**RECIPE, **(recipe or {})}).model_dump(mode="json")
    return ArmSpec("wmt", "numbers", {**MODEL, **model}, method, params or {}, made)


def dictionary() -> Dictionary:
    words = Dictionary()
    for i in range(WORDS):
        words.add_symbol(f"w{i}")
    return words


def arguments(arm: ArmSpec) -> Namespace:
    nowhere = data.Corpus(Path("nowhere"), "en", "de", Path("nowhere"), None, "")
    return training.parsed(training.command(arm, 0, nowhere, Path("nowhere"), cpu=True))


def build(method: str = "layer_norm", params: dict | None = None, seed: int = 0, plain: bool = False, dropout: float = 0.0, **model):
    """A model with a method; plain: fairseq's own of the same settings."""
    words = dictionary()
    torch.manual_seed(seed)
    made = arguments(an_arm(method, params, {"dropout": dropout}, **model))
    kind = TransformerModel if plain else training.MethodTransformer
    return kind.build_model(made, Namespace(source_dictionary=words, target_dictionary=words))


def batch(seed: int = 0, sources=(7, 5, 6), targets=(4, 6, 5), padding: int = 0) -> dict[str, torch.Tensor]:
    """fairseq's inputs: sources padded on the left, targets on the right, by `padding` more than is needed."""
    words, generator = dictionary(), torch.Generator().manual_seed(seed)

    def sentences(lengths, left):
        rows = torch.full((len(lengths), max(lengths) + padding), words.pad())
        for row, length in zip(rows, lengths, strict=True):
            tokens = torch.randint(words.nspecial, len(words), (length,), generator=generator)
            row[len(row) - length :] = tokens if left else row[len(row) - length :]
            row[:length] = row[:length] if left else tokens
        return rows

    source, target = sentences(sources, True), sentences(targets, False)
    return {"src_tokens": source, "src_lengths": torch.tensor(sources), "prev_output_tokens": target}


def small_corpus(folder: Path, pairs: int = 90) -> data.Corpus:
    """Sentences of three to seven made-up words, and the same backward. Validation and test set are the same sentences."""
    generator = torch.Generator().manual_seed(7)
    text = folder / "text"
    text.mkdir(parents=True)
    for split, count in (("train", pairs), ("valid", 12)):
        rows = []
        for _ in range(count):
            length = int(torch.randint(3, 8, (1,), generator=generator))
            rows.append([f"{'abcdefgh'[int(i)]}o" for i in torch.randint(8, (length,), generator=generator)])
        (text / f"{split}.en").write_text("".join(" ".join(row) + "\n" for row in rows))
        (text / f"{split}.de").write_text("".join(" ".join(row[::-1]) + "\n" for row in rows))
    for language in ("en", "de"):
        (text / f"test.{language}").write_bytes((text / f"valid.{language}").read_bytes())
    out = folder / "binarized"
    binarize(text, out, ("en", "de"), 40)
    return data.Corpus(out, "en", "de", out / "reference.de", out / "sentencepiece.model", "0" * 64)
