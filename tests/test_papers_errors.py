"""A mistake in a paper's file is one sentence with the place, what was received and the nearest name."""

import shutil

import pytest

from normbench.config.papers import PAPERS, read_paper, reported_number
from normbench.core.errors import InputError

BROKEN = {
    "an arm of a test": (
        "b: resnet50_fixup}",
        "b: resnet50_fixupp}",
        "papers/rescalenet.yaml: claims.beats-fixup.tests.0: 'resnet50_fixupp' is no arm; did you mean 'resnet50_fixup'?",
    ),
    "an arm of a table": (
        "{vgg19: vgg19_plain}",
        "{vgg19: vgg19_plane}",
        "papers/rescalenet.yaml: tables.vgg.rows.plain: 'vgg19_plane' is no arm; did you mean 'vgg19_plain'?",
    ),
    "a column": (
        "arms: {vgg19: vgg19_bn}",
        "arms: {vgg16: vgg19_bn}",
        "papers/rescalenet.yaml: tables.vgg.rows.bn: 'vgg16' is no column; did you mean 'vgg19'?",
    ),
    "the metric of a table": (
        "    metric: test_top1\n",
        "    metric: test_top\n",
        "papers/rescalenet.yaml: tables.imagenet.metric: 'test_top' is no metric of the task imagenet; did you mean 'test_top1'?",
    ),
    "the metric of a column": (
        "title: Box AP50, metric: box_ap50",
        "title: Box AP50, metric: test_top1",
        "papers/rescalenet.yaml: tables.coco.columns.box50.metric: 'test_top1' is no metric of the task coco",
    ),
    "a recipe of the task's name": (
        "\narms:\n",
        "\nrecipes: {imagenet: {rescalenet_mixup: {steps: 1}}}\narms:\n",
        "papers/rescalenet.yaml: recipes.imagenet: 'rescalenet_mixup' stands in tasks/imagenet/task.yaml: recipes too",
    ),
    "a model of the task's name": (
        "\narms:\n",
        "\nmodels: {coco: {mask_rcnn_r50: {depth: 1}}}\narms:\n",
        "papers/rescalenet.yaml: models.coco: 'mask_rcnn_r50' stands in tasks/coco/task.yaml: models too",
    ),
    "the task of its own recipes": (
        "\narms:\n",
        "\nrecipes: {imagnet: {mine: {steps: 1}}}\narms:\n",
        "papers/rescalenet.yaml: recipes: 'imagnet' is no task of the paper's arms; did you mean 'imagenet'?",
    ),
    "no task": ("\ntask: imagenet", "\n", "task' is missing"),
    "a guest row": ("guests: bn", "guests: bnn", "papers/rescalenet.yaml: tables.imagenet.guests: 'bnn' is no row; did you mean 'bn'?"),
    "an id twice": ("id: beats-skipinit", "id: beats-fixup", "papers/rescalenet.yaml: the id 'beats-fixup' stands twice"),
    "the key": ("key: rescalenet", "key: rescale", "papers/rescalenet.yaml: key is 'rescale'; it must be the file's name, 'rescalenet'"),
    "a field": (
        "    says: Rescale",
        "    sais: Rescale",
        "papers/rescalenet.yaml: claims.matches-bn-imagenet: 'sais' is no key; did you mean 'says'?",
    ),
    "an operand left out": (
        "{test: better, a: resnet50_rescalenet, b: resnet50_fixup}",
        "{test: better, a: resnet50_rescalenet}",
        "papers/rescalenet.yaml: the key 'claims.beats-fixup.tests.0.b' is missing",
    ),
    "a test that does not exist": (
        "{test: not_worse,",
        "{test: not_better,",
        "papers/rescalenet.yaml: claims.matches-bn-imagenet.tests.0.test: 'not_better' is no test; did you mean 'better'?",
    ),
    "a key of another test": (
        "b: resnet50_fixup}",
        "b: resnet50_fixup, margin: 1}",
        "papers/rescalenet.yaml: claims.beats-fixup.tests.0: 'margin' is no key of better; did you mean 'metric'? (known: a, b, by, ",
    ),
    "a metric of a claim": (
        "    metric: test_top1\n    tests:\n      - {test: better, a: resnet50_rescalenet, b: resnet50_fixup}",
        "    metric: test_top2\n    tests:\n      - {test: better, a: resnet50_rescalenet, b: resnet50_fixup}",
        "papers/rescalenet.yaml: claims.beats-fixup.tests.0: 'test_top2' is no metric of the task imagenet; did you mean 'test_top1'?",
    ),
    "a metric of a test": (
        "margin: 1, metric: mask_ap}",
        "margin: 1, metric: test_top1}",
        "papers/rescalenet.yaml: claims.matches-bn-coco.tests.1: 'test_top1' is no metric of the task coco",
    ),
    "no metric at all": (
        "    metric: test_top1\n    tests:\n      - {test: better, a: resnet50_rescalenet, b: resnet50_fixup}",
        "    tests:\n      - {test: better, a: resnet50_rescalenet, b: resnet50_fixup}",
        "papers/rescalenet.yaml: claims.beats-fixup.tests.0: better needs the key 'metric'",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_one_sentence_with_place_and_nearest_name(what, tmp_path):
    good, bad, says = BROKEN[what]
    text = (PAPERS / "rescalenet.yaml").read_text(encoding="utf-8")
    assert good in text
    (tmp_path / "rescalenet.yaml").write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_paper("rescalenet", tmp_path)
    # Outside the repository the file's own path stands where papers/ does.
    assert says.replace("papers/rescalenet.yaml", "rescalenet.yaml") in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_paper_is_named_with_the_nearest(tmp_path):
    shutil.copy(PAPERS / "skipinit.yaml", tmp_path)
    with pytest.raises(InputError, match="'skipinitt' is no paper; did you mean 'skipinit'"):
        read_paper("skipinitt", tmp_path)


def test_a_wrong_published_coordinate_is_named_with_the_nearest():
    where = {"table": "table 3", "setting": "imagenet resnet50 batch256", "method": "batchnorm", "metric": "val_top1"}
    with pytest.raises(InputError, match=r"here: reported: .* is no number of papers/reported\.csv; did you mean 'skipinit / table 3 / "):
        reported_number(read_paper("skipinit"), where, "here")


def test_published_numbers_are_read_with_their_kind_and_source():
    where = {"table": "table 1-2", "setting": "cifar10 wide_resnet depth100", "method": "divide_sqrt2", "metric": "test_top1"}
    number = reported_number(read_paper("skipinit"), where, "here")
    assert (number["value"], number["std"], number["kind"]) == ("88.9", "0.4", "verbatim")
    assert "2002.10444v1" in number["source"]
    assert reported_number(read_paper("skipinit"), {k: v for k, v in where.items() if k != "method"}, "here") is None
    assert reported_number(read_paper("skipinit"), {**where, "paper": "nobody"} | {"paper": "skipinit"}, "here") == number
