"""The corpora: what is embedded, and what is wrong with the user's, in one sentence before anything trains. Recipes and plans, too."""

import shutil
from argparse import Namespace

import numpy as np
import pytest
from facts import mistake
from fairseq.data import Dictionary

from normbench.config.cost_model import Machine, expected_seconds
from normbench.config.spec import model_label
from normbench.config.tasks import read_task, recipe_schema
from normbench.config.tiers import read_tier
from normbench.core.schema import validated
from normbench.execution.manifest import read_manifest
from normbench.planning.make import make_plan
from tasks.wmt import binarized, data, spelled, text, translate
from tasks.wmt.recipe import Recipe
from tests.wmt_samples import MODEL, RECIPE, an_arm, small_corpus

LANGUAGES = ("en", "de")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def raw(tmp_path):
    for split in text.SPLITS:
        for language in LANGUAGES:
            (tmp_path / f"{split}.{language}").write_text(f"one {language}\ntwo {language}\n", encoding="utf-8")
    return tmp_path


# The embedded corpus


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setitem(spelled.PAIRS, "numbers", {"train": 300, "valid": 30, "test": 30})


def test_every_number_is_of_one_split_and_every_pair_of_its_own(few):
    split = spelled.split_numbers(np.random.default_rng(spelled.SEED))
    assert sorted(np.concatenate(list(split.values()))) == list(range(1, spelled.LARGEST + 1))
    pairs = spelled.sentences("numbers")
    assert {name: len(set(rows)) for name, rows in pairs.items()} == spelled.PAIRS["numbers"] and pairs == spelled.sentences("numbers")
    sources = [{source for source, _ in rows} for rows in pairs.values()]
    assert not sources[0] & sources[1] and not sources[0] & sources[2] and not sources[1] & sources[2]


def test_there_are_enough_pairs_and_frames_share_them():
    assert spelled.PAIRS["numbers_large"]["train"] >= 20_000
    frames = len(spelled.FRAMES)
    split = spelled.split_numbers(np.random.default_rng(spelled.SEED))["train"]
    room = sum(sum(spelled._fits(frame, int(n)) for n in split) for frame in spelled.FRAMES)
    assert frames >= 6 and room > spelled.PAIRS["numbers_large"]["train"]


@pytest.mark.parametrize(
    "frame, n, english, german",
    [
        (spelled._books, 1080, "The library has one thousand and eighty books.", "Die Bibliothek hat eintausendachtzig Bücher."),
        (spelled._runner, 3, "She was the third runner at the finish.", "Sie kam als dritte Läuferin ins Ziel."),
        (
            spelled._price,
            1768,
            "The ticket costs seventeen euro, sixty-eight cents.",
            "Die Karte kostet siebzehn Euro und achtundsechzig Cent.",
        ),
        (spelled._year, 1916, "The bridge was built in nineteen sixteen.", "Die Brücke wurde im Jahr neunzehnhundertsechzehn gebaut."),
    ],
)
def test_a_sentence_says_its_number_in_both_languages(frame, n, english, german):
    assert frame(n) == (english, german)


def test_it_is_made_once_whole_and_a_damaged_file_is_named(tmp_path, few):
    folder = tmp_path / "numbers"
    sha256 = data.prepare("numbers", tmp_path)
    manifest = read_manifest("numbers", folder)
    assert manifest["data_sha256"] == sha256 == text.check(folder / "text", LANGUAGES)[1] and manifest["pairs"] == spelled.PAIRS["numbers"]
    corpus = data.corpus("numbers", tmp_path)
    assert corpus.reference.read_text() == (folder / "text" / "test.de").read_text()
    assert binarized.check("numbers", corpus.folder, LANGUAGES)  # fit for the same checks as the user's
    path = folder / "binarized" / "train.en-de.en.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with mistake(path, "damaged", "SHA-256", "manifest.json", "delete"):
        data.prepare("numbers", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["numbers"]


# The user's text


def test_text_in_order_has_its_pairs_and_a_hash(raw):
    pairs, sha256 = text.check(raw, LANGUAGES)
    assert pairs == {"train": 2, "valid": 2, "test": 2}
    (raw / "test.de").write_text("eins de\nzwei de\n")
    assert text.check(raw, LANGUAGES)[1] != sha256


@pytest.mark.parametrize(
    "name, content, facts",
    [
        ("valid.de", None, ["missing", "train.en", "train.de", "valid.en"]),
        ("train.de", b"eins\n", ["train.en", "2 lines", "1", "translation"]),
        ("test.en", b"one\n  \n", ["line 2", "empty", "remove", "other language"]),
        ("train.de", "eins\nfünf\n".encode("latin1"), ["line 2", "byte 2", "UTF-8", "convert"]),
        ("test.de", b"", ["empty"]),
    ],
    ids=["missing", "unequal", "empty line", "encoding", "empty file"],
)
def test_what_is_wrong_with_text_is_one_sentence(raw, name, content, facts):
    (raw / name).unlink()
    if content is not None:
        (raw / name).write_bytes(content)
    with mistake("data: ", name, *facts):
        text.check(raw, LANGUAGES)


def test_raw_text_is_prepared_beside_and_not_in_the_users_folder(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    monkeypatch.setitem(data.PAIRS, "wmt16_en_de", data.Pair("en", "de", 30))
    root = tmp_path / "datasets"
    shutil.copytree(raw, root / "wmt16_en_de", ignore=shutil.ignore_patterns("datasets", "cache"))
    before = sorted(root.rglob("*"))
    sha256 = data.prepare("wmt16_en_de", root)
    corpus = data.corpus("wmt16_en_de", root)
    assert corpus.sha256 == sha256 and corpus.folder.parent == tmp_path / "cache" and corpus.pieces.is_file()
    assert sorted(root.rglob("*")) == before and corpus.reference.read_text() == "one de\ntwo de\n"


def test_a_missing_folder_says_what_belongs_there(tmp_path):
    with mistake(tmp_path / "iwslt14_de_en", "missing", "train.de", "train.en", "data=FOLDER"):
        data.prepare("iwslt14_de_en", tmp_path)


# The user's binarized corpus


@pytest.fixture
def users(made, tmp_path):
    folder = tmp_path / "wmt14_en_de"
    shutil.copytree(made.folder, folder)
    return folder


def test_a_binarized_corpus_is_found_and_hashed(users, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    corpus = data.corpus("wmt14_en_de", tmp_path, verify=True)
    assert corpus.folder == users and corpus.pieces == users / "sentencepiece.model"
    assert data.corpus("wmt14_en_de", tmp_path) == corpus
    (users / "reference.de").write_text((users / "reference.de").read_text().replace("a", "e"))
    assert data.corpus("wmt14_en_de", tmp_path).sha256 != corpus.sha256


def _another_vocabulary(folder):
    lines = (folder / "dict.de.txt").read_text().splitlines()
    (folder / "dict.de.txt").write_text("\n".join(lines[:2]) + "\n")


@pytest.mark.parametrize(
    "change, facts",
    [
        (
            lambda f: (f / "valid.en-de.de.idx").unlink(),
            ["valid.en-de.de.idx", "missing", "fairseq-preprocess --source-lang en --target-lang de"],
        ),
        (lambda f: (f / "reference.de").unlink(), ["reference.de", "missing", "target text"]),
        (lambda f: (f / "reference.de").write_text("one\n"), ["reference.de", "1 lines", "12 sentences"]),
        (_another_vocabulary, ["dict.de.txt", "vocabulary", "other data"]),
        (
            lambda f: (f / "preprocess.log").write_text("Namespace(trainpref='examples/translation/wmt17_en_de/train', seed=1)"),
            ["WMT17", "not WMT14"],
        ),
    ],
    ids=["missing file", "no reference", "short reference", "vocabulary", "WMT17"],
)
def test_what_is_wrong_with_a_binarized_corpus_is_one_sentence(users, change, facts):
    change(users)
    with mistake(*facts):
        binarized.check("wmt14_en_de", users, LANGUAGES)


def test_subwords_of_moses_words_are_put_together_as_people_write(users):
    words = Dictionary()
    line = words.encode_line("Das ko@@ st@@ et &quot; 3,50 &quot; Euro , oder ?", add_if_not_exist=True)
    (users / "sentencepiece.model").unlink()
    corpus = data.Corpus(users, "en", "de", users / "reference.de", binarized.pieces(users), "")
    assert translate.reader(Namespace(target_dictionary=words), corpus)(line) == 'Das kostet "3,50" Euro, oder?'


def test_unknown_words_tell_of_another_vocabulary(users, monkeypatch):
    monkeypatch.setattr(binarized, "UNKNOWN", -1.0)
    with mistake("other data", "0.0%", "train.en-de.en.bin", "unknown"):
        binarized.check("wmt14_en_de", users, LANGUAGES)


def test_wmt17_is_known_by_its_size(tmp_path):
    with mistake("3,960,793", "prepare-wmt14en2de.sh", "--icml17"):
        binarized.check_origin("wmt14_en_de", tmp_path, 3_960_793)
    binarized.check_origin("wmt17_en_de", tmp_path, 3_960_793)
    binarized.check_origin("wmt14_en_de", tmp_path, 3_900_000)


# Recipes and plans


@pytest.mark.parametrize(
    "change, facts",
    [
        ({"evaluations": 5}, ["steps", "multiple of evaluations", "12", "5"]),
        ({"averaged": 4}, ["averaged", "4", "evaluations", "3"]),
        ({"batch_size": 4}, ["'batch_size'", "key"]),
        ({"precision": "float16"}, ["precision", "'float32'", "'amp_float16'", "got 'float16'"]),
    ],
)
def test_a_mistake_in_a_recipe_is_one_sentence(change, facts):
    with mistake("recipe", *facts):
        validated(recipe_schema("wmt"), {**RECIPE, **change}, "recipe")


def test_evaluations_end_with_the_last_step():
    assert Recipe(**RECIPE).evaluated() == [4, 8, 12]


def test_the_papers_arms_are_planned_at_every_tier():
    for tier in ("tiny", "quick", "laptop", "gpu", "paper"):
        specs = [spec for spec in make_plan(tier).arms.values() if spec.task == "wmt"]
        assert specs
        for spec in specs:
            assert Recipe(**spec.recipe) and spec.dataset in read_task("wmt").datasets
            assert spec.dataset in data.PAIRS and expected_seconds(spec, read_tier(tier).machine) > 0
    assert model_label(MODEL) == "transformer2x2"


def test_the_expected_time_grows_with_what_is_computed():
    machine = Machine(seconds_per_layer=1e-4, macs_per_second=1e10)
    changes = ({}, {"recipe": {"steps": 6000}}, {"width": 64}, {"layers": [4, 4]})
    times = [expected_seconds(an_arm(**{"recipe": {"steps": 3000}, **change}), machine) for change in changes]
    assert times[1] == pytest.approx(2 * times[0], rel=0.2) and times[2] > times[0] and times[3] > times[0]
