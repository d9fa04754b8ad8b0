"""The papers' files: every entry of the ledger is there, every name and published coordinate resolves, every margin has its reason."""

import itertools
from collections import Counter

import pytest

from normbench.config.papers import Arm, Claim, Paper, paper_keys, read_paper, reported_number
from normbench.config.spec import ArmSpec
from normbench.config.tasks import load_adapter, read_task, recipe_schema
from normbench.core.schema import Strict, validated
from normbench.hooks.methods import check_params, load_method, method_names, read_method
from normbench.models import FAMILIES, build_model

# Every claim and question, in the ledger's order; the questions end with a question mark.
LEDGER = {
    "rescalenet": """matches-bn-imagenet matches-bn-coco matches-bn-kinetics matches-bn-wmt matches-gn-imagenet matches-gn-coco
        beats-fixup beats-skipinit vgg-without-norm variance-constant equal-contribution equal-step multiplier-helps c-equals-L
        bias-prevents-dead-relu seeds? mixup-longer? multipliers-after-training? first-batch-mean? backbone-multiplier?
        multiplier-explodes? depth-scaled-init? uncorrelated?""",
    "skipinit": """bn-downscales trains-1000-layers ones-fail sqrt-half-fails without-l2 close-to-bn matches-fixup large-batch-gap
        regularized-closes-gap lr-linear-in-batch large-lr-only-large-batch skipinit-widens-lr rescaling-invariance?
        bn-with-sqrt-half? bn-at-output-only? exponential-lr? bias-or-dropout? backward?""",
    "norm_matters": """scale-invariance wd-is-lr norm-schedule l1-matches-l2 topk-matches linf-behind constant-matters-little
        l1-half-precision l1-is-cheaper bounded-beats-weight-norm bounded-behind-bn norm-grows? other-activations? adam?
        linear-relu-bn? l2-tuned?""",
    "beyond_batchnorm": """activations-bounded parametric-explode groups-similarity rank-bound similarity-slow
        small-groups-gradients instance-norm-unstable speed-stability predicts""",
}
# Measured on untrained networks, exactly, or with a clock: not by training on images.
ELSEWHERE = {
    "propagation": """variance-constant equal-contribution equal-step first-batch-mean uncorrelated bn-downscales rescaling-invariance
        backward scale-invariance linear-relu-bn activations-bounded parametric-explode groups-similarity rank-bound similarity-slow
        small-groups-gradients predicts""",
    "cost": "l1-is-cheaper",
    "coco": "matches-bn-coco matches-gn-coco",
    "kinetics": "matches-bn-kinetics",
    "wmt": "matches-bn-wmt",
}
# The methods that the suite comes with; one that a user adds stands in the tables as a guest.
SUITE = """batch_norm bounded_weight_norm divide_sqrt2 dynamic_tanh evonorm_b0 evonorm_s0 filter_response_norm fixup group_norm
    instance_norm l1_batch_norm layer_norm linf_batch_norm nf_resnet none regularized_skipinit rescalenet rezero rms_norm
    scaled_weight_standardization skipinit topk_batch_norm variance_norm weight_norm"""

every_paper = pytest.mark.parametrize("key", paper_keys())


def cells(paper: Paper):
    """(table, column, coordinates, place) of every cell of a row that was published; rows without coordinates have no published number."""
    for table in paper.tables:
        for (name, row), (column_name, column) in itertools.product(table.rows.items(), table.columns.items()):
            where = {**table.reported, **column.reported, **row.reported}
            yield table, column, where, f"{paper.key}: {table.id}.{name}.{column_name}"


def swept(arm: Arm) -> list[dict]:
    """The swept values of every run of the arm, {} where nothing is swept."""
    return [dict(zip(arm.over, values, strict=True)) for values in itertools.product(*arm.over.values())]


def of_part(point: dict, part: str) -> dict:
    """The values of a sweep that belong to "params", "model" or, with "", to the recipe."""
    prefix = f"{part}." if part else ""
    return {k.removeprefix(prefix): v for k, v in point.items() if k.rpartition(".")[0] == part}


def trained(paper: Paper) -> list[Claim]:
    return [c for c in paper.claims if c.task == "imagenet"]


def recipe_of(arm: Arm, place: str, point: dict | None = None) -> Strict:
    fields = {**read_task(arm.task).recipes[arm.recipe], **arm.set, **of_part(point or {}, "")}
    return validated(recipe_schema(arm.task), fields, place)


def test_the_four_papers_are_there():
    assert set(LEDGER) <= set(paper_keys())


@pytest.mark.parametrize("key", LEDGER)
def test_every_entry_of_the_ledger_is_there_in_its_order(key):
    ids = [claim.id + ("?" if claim.kind == "question" else "") for claim in read_paper(key).claims]
    assert ids == LEDGER[key].split()


@pytest.mark.parametrize("key", LEDGER)
def test_every_entry_belongs_to_the_task_that_measures_it(key):
    tasks = {id_: task for task, ids in ELSEWHERE.items() for id_ in ids.split()}
    for claim in read_paper(key).claims:
        assert claim.task == tasks.get(claim.id, "imagenet"), claim.id
        expected = {"propagation": ("init", "exact", "init and train"), "cost": ("cost",), "imagenet": ("train", "init and train")}
        assert claim.measured in expected.get(claim.task, ("train",)), claim.id


@every_paper
def test_every_name_in_an_arm_resolves(key):
    for name, arm in read_paper(key).arms.items():
        place, task = f"papers/{key}.yaml: arms.{name}", read_task(arm.task)
        assert arm.dataset in task.datasets, place
        model = {"use": arm.model} if isinstance(arm.model, str) else arm.model
        assert "family" in model or model["use"] in task.models, place
        assert arm.recipe in task.recipes, place
        assert {k.rpartition(".")[0] for k in arm.over} <= {"", "params", "model"}, place
        for point in swept(arm):
            recipe_of(arm, place, point)
            check_params(read_method(arm.method), {**arm.params, **of_part(point, "params")}, place)


@every_paper
def test_every_method_accepts_its_params(key):
    for name, arm in read_paper(key).arms.items():
        for point in swept(arm):
            values = {**arm.params, **of_part(point, "params")}
            assert load_method(arm.method).params(**values), f"papers/{key}.yaml: arms.{name}"


# The same families and blocks, a stage or two long: what a method refuses does not depend on depth.
SHALLOW = {
    "mask_rcnn": {},
    "slow_resnet": {},
    "wide_resnet": {"depth": 10},
    "vgg": {"depth": 11, "hidden": 8},
    "plain_cnn": {"depth": 10},
    "transformer": {"depth": 1},
}


def shallow(arm: Arm, point: dict) -> dict:
    """The arm's model with its own arguments and few layers."""
    given = {"use": arm.model} if isinstance(arm.model, str) else dict(arm.model)
    model = {**read_task(arm.task).models.get(given.pop("use", ""), {}), **given, **of_part(point, "model")}
    if model["family"] != "resnet":
        return {**model, **({"layers": [1, 1]} if "layers" in model else SHALLOW[model["family"]])}
    if "blocks" in model:
        return {**model, "blocks": 1}
    depth, cifar = model.pop("depth"), model.get("stem") == "cifar"
    return {**model, "layers": [1] * (3 if cifar else 4), "block": "basic" if cifar or depth < 50 else "bottleneck"}


@pytest.mark.slow
@every_paper
def test_every_method_stands_in_its_model(key):
    seen = set()
    for name, arm in read_paper(key).arms.items():
        for point in swept(arm):
            model, params = shallow(arm, point), {**arm.params, **of_part(point, "params")}
            identity = repr((model, arm.method, params))
            if identity not in seen:
                seen.add(identity)
                method = load_method(arm.method)
                if model["family"] in FAMILIES:
                    built = build_model(model, method, method.params(**params), num_classes=10, in_shape=(3, 32, 32))
                    assert any(p.changed for p in built.sites) or arm.method == "none", f"{key}: {name}"
                else:  # a task's own
                    recipe = recipe_of(arm, name, point).model_dump(mode="json")
                    assert load_adapter(arm.task).check(ArmSpec(arm.task, arm.dataset, model, arm.method, params, recipe)) is None, name


@every_paper
def test_recorded_norms_come_from_an_arm_that_records_them(key):
    paper = read_paper(key)
    for name, arm in paper.arms.items():
        used = getattr(recipe_of(arm, name), "norm_control", "none") in ("correct_lr", "schedule")
        assert used == (arm.norms_from is not None), name
        if arm.norms_from:
            source = paper.arms[arm.norms_from]
            assert recipe_of(source, arm.norms_from).norm_control == "record", name
            assert (source.dataset, source.model, source.method) == (arm.dataset, arm.model, arm.method), name


@every_paper
def test_an_arm_shared_by_several_claims_stands_once(key):
    contents = Counter(arm.model_copy(update={"note": ""}).model_dump_json() for arm in read_paper(key).arms.values())
    assert [c for c, n in contents.items() if n > 1] == []


@every_paper
def test_every_arm_of_a_claim_is_visible_in_a_table_and_every_arm_is_used(key):
    paper = read_paper(key)
    shown = {arm for entry in (*paper.tables, *paper.figures) for arm in entry.every_arm()}
    asked = {operand.arm for claim in paper.claims for test in claim.tests for operand in test.operands()}
    assert {name for name in asked - shown if paper.arms[name].task == "imagenet"} == set()
    assert set(paper.arms) - shown - asked - {arm.norms_from for arm in paper.arms.values()} == set()


@every_paper
def test_published_coordinates_resolve(key):
    paper = read_paper(key)
    for table, column, where, place in cells(paper):
        assert set(where) <= {"paper", "table", "setting", "method", "metric"}, place
        number = reported_number(read_paper(key), where, place)
        if number is not None:
            assert ("error" in number["metric"]) == ("error" in (column.metric or table.metric)), place


@pytest.mark.parametrize(
    ("key", "table"),
    [("skipinit", "table 1-2"), ("skipinit", "table 3"), ("norm_matters", "figure Lp norms"), ("beyond_batchnorm", "figure 5")],
)
def test_the_papers_tables_show_every_published_number_of_their_metric(key, table):
    shown = {tuple(w.get(p) for p in ("table", "setting", "method", "metric")) for _, _, w, _ in cells(read_paper(key))}
    metrics = {where[3] for where in shown if where[0] == table and where[2]}
    published = {k[1:] for k in read_paper(key).numbers() if k[0] == key and k[1] == table and k[4] in metrics}
    assert published and published <= shown


@every_paper
def test_metrics_exist_and_every_training_entry_has_tests(key):
    paper, metrics = read_paper(key), read_task("imagenet").metrics
    for table in paper.tables:
        for row in table.rows.values():
            for column, arm in row.arms.items():
                assert (table.columns[column].metric or table.metric) in read_task(paper.arms[arm].task).metrics, table.id
    for claim in trained(paper):
        assert claim.tests, claim.id
        for test in claim.tests:
            assert set(test.metrics(claim.metric)) <= set(metrics), claim.id


@every_paper
def test_margins_have_reasons_and_statements_are_short(key):
    for claim in read_paper(key).claims:
        fixed = [key for t in claim.tests for key in t.model_fields_set & {"by", "margin", "ratio", "tolerance", "rtol", "at_least"}]
        assert claim.reason or not fixed, f"{claim.id}: a margin without a reason"
        assert 20 <= len(claim.says) <= 200 and "\n" not in claim.says, claim.id
        assert claim.source, claim.id
        assert claim.kind == "claim" or "?" in claim.says, claim.id


@every_paper
def test_percent_margins_and_chance_margins_are_the_same_at_every_entry_of_a_kind(key):
    for claim in trained(read_paper(key)):
        for test in claim.tests:
            if test.test in ("trainable", "untrainable"):
                assert test.margin >= 10, f"{claim.id}: a network at chance could pass"
            if test.test in ("not_worse", "within") and (test.metric or claim.metric).endswith("top1"):
                assert 0 < test.margin <= 5, f"{claim.id}: a margin of {test.margin} points proves nothing"


@every_paper
def test_pairs_share_all_that_decides_the_order_of_the_data(key):
    paper = read_paper(key)
    for claim in paper.claims:
        for test in claim.tests:
            if getattr(test, "paired", False):
                a, b = (paper.arms[o.arm] for o in test.operands())
                recipes = [recipe_of(arm, claim.id) for arm in (a, b)]
                data = [(r.batch_size, r.epochs, r.steps, r.augment, r.mixup) for r in recipes]
                assert a.dataset == b.dataset and data[0] == data[1], claim.id


@every_paper
def test_at_most_a_third_of_the_training_entries_wait_for_a_larger_tier(key):
    paper = read_paper(key)
    entries = trained(paper)
    assert {c.start for c in entries} <= {"quick", "laptop"}
    assert 3 * sum(c.start == "laptop" for c in entries) <= len(entries)


@every_paper
def test_sweeps_start_at_the_laptop(key):
    paper = read_paper(key)
    at_quick = {o.arm for c in trained(paper) if c.start == "quick" for t in c.tests for o in t.operands()}
    at_quick |= {arm for t in paper.tables if t.start == "quick" for row in t.rows.values() for arm in row.arms.values()}
    assert [name for name in sorted(at_quick) if paper.arms[name].over] == []


def test_every_method_of_the_suite_stands_in_a_paper():
    named = {arm.method for key in paper_keys() for arm in read_paper(key).arms.values()}
    assert set(SUITE.split()) <= set(method_names())
    assert set(SUITE.split()) - named == set()
