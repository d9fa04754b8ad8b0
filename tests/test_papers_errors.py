"""A mistake in a paper's file is one sentence with the place, what was received and the nearest name."""

import shutil

import pytest
from facts import mistake, replaced

from normbench.config.papers import PAPERS, read_paper, reported_number

NUMBERED = "    metric: test_top1\n"
BEATS = "    tests:\n      - {test: better, a: resnet50_rescalenet, b: resnet50_fixup}"
# what is wrong: (what is replaced, by what, what the sentence names beside the file: the place, what was received, what would do)
BROKEN = {
    "an arm of a test": (
        "b: resnet50_fixup}",
        "b: resnet50_fixupp}",
        "claims.beats-fixup.tests.0",
        "'resnet50_fixupp'",
        "'resnet50_fixup'",
    ),
    "an arm of a table": ("{vgg19: vgg19_plain}", "{vgg19: vgg19_plane}", "tables.vgg.rows.plain", "'vgg19_plane'", "'vgg19_plain'"),
    "a column": ("arms: {vgg19: vgg19_bn}", "arms: {vgg16: vgg19_bn}", "tables.vgg.rows.bn", "'vgg16'", "column", "'vgg19'"),
    "the metric of a table": (NUMBERED, "    metric: test_top\n", "tables.imagenet.metric", "'test_top'", "task imagenet", "'test_top1'"),
    "the metric of a column": ("metric: box_ap50", "metric: test_top1", "tables.coco.columns.box50.metric", "'test_top1'", "task coco"),
    "a recipe of the task's name": (
        "\narms:\n",
        "\nrecipes: {imagenet: {rescalenet_mixup: {steps: 1}}}\narms:\n",
        *("recipes.imagenet", "'rescalenet_mixup'", "tasks/imagenet/task.yaml: recipes"),
    ),
    "a model of the task's name": (
        "\narms:\n",
        "\nmodels: {coco: {mask_rcnn_r50: {depth: 1}}}\narms:\n",
        *("models.coco", "'mask_rcnn_r50'", "tasks/coco/task.yaml: models"),
    ),
    "the task of its own recipes": (
        "\narms:\n",
        "\nrecipes: {imagnet: {mine: {steps: 1}}}\narms:\n",
        *("recipes", "'imagnet'", "task", "'imagenet'"),
    ),
    "no task": ("\ntask: imagenet", "\n", "arms.resnet50_bn.task'"),
    "a guest row": ("guests: bn", "guests: bnn", "tables.imagenet.guests", "'bnn'", "row", "'bn'"),
    "an id twice": ("id: beats-skipinit", "id: beats-fixup", "id", "'beats-fixup'", "twice"),
    "the key": ("key: rescalenet", "key: rescale", "key", "'rescale'", "'rescalenet'"),
    "a field": ("    says: Rescale", "    sais: Rescale", "claims.matches-bn-imagenet", "'sais'", "'says'"),
    "an operand left out": (", b: resnet50_fixup}", "}", "claims.beats-fixup.tests.0.b"),
    "a test that does not exist": (
        "test: not_worse,",
        "test: not_better,",
        "claims.matches-bn-imagenet.tests.0",
        "'not_better'",
        "'better'",
    ),
    "a key of another test": (
        "b: resnet50_fixup}",
        "b: resnet50_fixup, margin: 1}",
        *("claims.beats-fixup.tests.0", "'margin'", "better", "'metric'", "a, b, by, "),
    ),
    "a metric of a claim": (
        NUMBERED + BEATS,
        "    metric: test_top2\n" + BEATS,
        *("claims.beats-fixup.tests.0", "'test_top2'", "task imagenet", "'test_top1'"),
    ),
    "a metric of a test": (
        "margin: 1, metric: mask_ap}",
        "margin: 1, metric: test_top1}",
        *("claims.matches-bn-coco.tests.1", "'test_top1'", "task coco"),
    ),
    "no metric at all": (NUMBERED + BEATS, BEATS, "claims.beats-fixup.tests.0", "better", "'metric'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_one_sentence_with_place_and_nearest_name(what, tmp_path):
    good, bad, *facts = BROKEN[what]
    file = tmp_path / "rescalenet.yaml"
    file.write_text(replaced((PAPERS / file.name).read_text(encoding="utf-8"), good, bad), encoding="utf-8")
    with mistake(file.name, *facts):
        read_paper("rescalenet", tmp_path)


def test_an_unknown_paper_is_named_with_the_nearest(tmp_path):
    shutil.copy(PAPERS / "skipinit.yaml", tmp_path)
    with mistake("'skipinitt'", "paper", "'skipinit'"):
        read_paper("skipinitt", tmp_path)


def test_a_wrong_published_coordinate_is_named_with_the_nearest():
    where = {"table": "table 3", "setting": "imagenet resnet50 batch256", "method": "batchnorm", "metric": "val_top1"}
    with mistake("here: reported", *where.values(), "papers/reported.csv", "'skipinit / table 3 / "):
        reported_number(read_paper("skipinit"), where, "here")


def test_published_numbers_are_read_with_their_kind_and_source():
    where = {"table": "table 1-2", "setting": "cifar10 wide_resnet depth100", "method": "divide_sqrt2", "metric": "test_top1"}
    number = reported_number(read_paper("skipinit"), where, "here")
    assert (number["value"], number["std"], number["kind"]) == ("88.9", "0.4", "verbatim")
    assert "2002.10444v1" in number["source"]
    assert reported_number(read_paper("skipinit"), {k: v for k, v in where.items() if k != "method"}, "here") is None
    assert reported_number(read_paper("skipinit"), {**where, "paper": "nobody"} | {"paper": "skipinit"}, "here") == number
