"""Tiers: which of the task, the arm, the tier and a sweep has the last word, and what a mistake in a tier's file says."""

import pytest
from facts import mistake

from normbench.config.papers import TIERS, Arm, Paper, paper_keys, read_paper
from normbench.config.spec import canonical
from normbench.config.tasks import read_task
from normbench.config.tiers import FOLDER, TierFile, as_guest, check_overrides, points, read_tier
from normbench.planning.make import make_plan
from normbench.planning.plan import Plan

EXISTING = [tier for tier in TIERS if (FOLDER / f"{tier}.yaml").is_file()]
MACHINE = {"seconds_per_layer": 1e-4, "macs_per_second": 1e10}


def a_tier(arms: dict | None = None, tier: str = "paper", **of_task) -> TierFile:
    """By default the one below which everything has to be listed."""
    fields = {"tier": tier, "says": "for a test", "seeds": [0], "job_seconds": 1, "checkpoint_seconds": 1, "machine": MACHINE}
    return TierFile.model_validate({**fields, "tasks": {"imagenet": of_task}, "arms": {"paper": arms or {}}})


def an_arm(**fields) -> Arm:
    given = {"task": "imagenet", "dataset": "cifar10", "model": "wide_resnet16_2", "method": "group_norm", "recipe": "skipinit_cifar"}
    return Arm.model_validate({**given, **fields})


def only(tier: TierFile, **fields):
    ((point, spec),) = points("paper", "arm", an_arm(**fields), tier)
    assert point == {}
    return spec


def test_where_nobody_says_otherwise_the_tasks_recipe_and_model_hold():
    spec, task = only(a_tier()), read_task("imagenet")
    assert spec.model == task.models["wide_resnet16_2"]
    assert {k: spec.recipe[k] for k in ("epochs", "batch_size", "lr", "schedule")} == {
        "epochs": 200, "batch_size": 64, "lr": 0.5, "schedule": "halving"
    }  # fmt: skip
    assert (spec.task, spec.dataset, spec.method) == ("imagenet", "cifar10", "group_norm")


def test_of_a_recipe_the_tasks_the_arms_the_tiers_the_tiers_for_the_arm_and_the_sweep_win_in_this_order():
    of_task = {"recipes": {"skipinit_cifar": {"lr": 0.3}}}
    assert only(a_tier(), set={"lr": 0.4}).recipe["lr"] == 0.4
    assert only(a_tier(**of_task), set={"lr": 0.4}).recipe["lr"] == 0.3
    tier = a_tier({"ar*": {"set": {"lr": 0.2}}}, **of_task)
    assert only(tier, set={"lr": 0.4}).recipe["lr"] == 0.2
    swept = points("paper", "arm", an_arm(set={"lr": 0.4}, over={"lr": [1, 2]}), tier)
    assert [(point, spec.recipe["lr"]) for point, spec in swept] == [({"lr": 1}, 1.0), ({"lr": 2}, 2.0)]


def test_a_budget_replaces_a_budget_in_whichever_unit():
    steps = only(a_tier(recipes={"skipinit_cifar": {"steps": 7}})).recipe
    assert (steps["steps"], steps["epochs"]) == (7, None)
    epochs = only(a_tier({"arm": {"set": {"epochs": 3}}}, recipes={"skipinit_cifar": {"steps": 7}})).recipe
    assert (epochs["steps"], epochs["epochs"]) == (None, 3)


def test_of_a_model_the_arms_own_arguments_stay_and_the_tier_for_the_arm_wins():
    of_task = {"models": {"wide_resnet16_2": {"base_width": 8, "width": 1}}}
    arm = {"model": {"use": "wide_resnet16_2", "width": 5, "activation": "elu"}}
    assert only(a_tier(**of_task), **arm).model == {"family": "wide_resnet", "depth": 16, "base_width": 8, "width": 5, "activation": "elu"}
    assert only(a_tier({"arm": {"model": {"width": 9}}}, **of_task), **arm).model["width"] == 9
    swept = points("paper", "arm", an_arm(over={"model.depth": [22]}, **arm), a_tier(**of_task))
    assert swept[0][1].model["depth"] == 22


def test_a_tiers_model_with_a_family_replaces_the_whole():
    tier = a_tier(models={"wide_resnet16_2": {"family": "plain_cnn", "depth": 10}})
    assert only(tier).model == {"family": "plain_cnn", "depth": 10}


def test_of_params_the_tiers_the_arms_the_tiers_for_the_arm_and_the_sweep_win_in_this_order():
    of_task = {"params": {"group_norm": {"num_groups": 4, "eps": 0.1}}}
    assert only(a_tier(**of_task)).params["num_groups"] == 4
    found = only(a_tier(**of_task), params={"num_groups": 2}).params
    assert (found["num_groups"], found["eps"]) == (2, 0.1)
    assert only(a_tier({"arm": {"params": {"num_groups": 16}}}, **of_task), params={"num_groups": 2}).params["num_groups"] == 16
    swept = points("paper", "arm", an_arm(params={"num_groups": 2}, over={"params.num_groups": [1]}), a_tier(**of_task))
    assert swept[0][1].params["num_groups"] == 1


def test_datasets_are_mapped_and_an_arms_own_wins():
    tier = a_tier({"arm": {"dataset": "digits32"}}, datasets={"cifar10": "digits"})
    assert only(a_tier(datasets={"cifar10": "digits"})).dataset == "digits"
    assert only(tier).dataset == "digits32"


def test_a_tier_can_shorten_a_sweep_or_add_one():
    tier = a_tier({"arm": {"over": {"lr": [0.5], "batch_size": [8, 16]}}})
    found = points("paper", "arm", an_arm(over={"lr": [1, 2, 4]}), tier)
    assert [point for point, _ in found] == [{"lr": 0.5, "batch_size": 8}, {"lr": 0.5, "batch_size": 16}]
    assert len({spec.id for _, spec in found}) == 2


def test_a_guest_takes_the_arms_place_with_its_own_defaults():
    guest = as_guest(an_arm(params={"num_groups": 2}, norms_from="other", note="n", set={"lr": 0.7}), "rms_norm")
    ((_, spec),) = points("paper", "arm@rms_norm", guest, a_tier())
    assert (spec.method, spec.recipe["lr"], guest.norms_from, guest.note) == ("rms_norm", 0.7, None, "")
    assert "num_groups" not in spec.params


def test_a_guest_has_the_hosts_settings_but_for_those_of_its_method():
    override = {
        "set": {"precision": "emulated_float16"},
        "params": {"num_groups": 16},
        "over": {"params.num_groups": [1, 2], "lr": [0.1, 0.2]},
    }
    guest = as_guest(an_arm(over={"params.eps": [1, 2]}), "rms_norm")
    found = points("paper", "arm@rms_norm", guest, a_tier({"ar?": override}))
    assert [(point, spec.recipe["precision"]) for point, spec in found] == [({"lr": lr}, "emulated_float16") for lr in (0.1, 0.2)]


AT_ARM = "papers/paper.yaml: arms.arm"
MISTAKES = [
    ({"dataset": "cifar11"}, AT_ARM, "'cifar11'", "dataset", "'cifar10'"),
    ({"model": "wide_resnet17_2"}, AT_ARM, "model", "'wide_resnet17_2'", "'wide_resnet1"),
    ({"recipe": "skipinit_cifr"}, AT_ARM, "recipe", "'skipinit_cifr'", "'skipinit_cifar'"),
    ({"method": "grup_norm"}, "methods/", "'grup_norm'", "'group_norm'"),
    ({"params": {"groups": 2}}, AT_ARM, "params", "group_norm", "'groups'"),
    ({"set": {"momentm": 0.5}}, AT_ARM, "recipe", "'momentm'", "'momentum'"),
    ({"set": {"lr": -1}}, AT_ARM, "recipe: lr", "-1", "greater than 0"),
    ({"over": {"modle.depth": [1]}}, AT_ARM, "over", "'modle'", "'model'"),
    ({"task": "imagnet"}, "tasks/", "'imagnet'", "'imagenet'"),
]


@pytest.mark.parametrize("fields, facts", [(fields, facts) for fields, *facts in MISTAKES], ids=[next(iter(row[0])) for row in MISTAKES])
def test_a_mistake_in_an_arm_is_said_with_its_place_and_the_nearest_name(fields, facts):
    with mistake(*facts):
        points("paper", "arm", an_arm(**fields), a_tier())


RESNET = {"dataset": "imagenet", "model": "resnet18", "method": "batch_norm", "recipe": "rescalenet_imagenet"}
LISTED = {"datasets": {"imagenet": "digits32"}, "models": {"resnet18": {}}, "recipes": {"rescalenet_imagenet": {"augment": "none"}}}


@pytest.mark.parametrize(
    "left_out, name, would_do",
    [("recipes", "rescalenet_imagenet", "{}"), ("models", "resnet18", "{}"), ("datasets", "imagenet", "digits32")],
)
def test_below_the_paper_tier_nothing_keeps_the_papers_scale_unsaid(left_out, name, would_do):
    assert points("paper", "arm", an_arm(**RESNET), a_tier(tier="quick", **LISTED))
    assert points("paper", "arm", an_arm(**RESNET), a_tier())  # at the paper's own nothing is replaced
    listed = {part: values for part, values in LISTED.items() if part != left_out} | {"recipes": {**LISTED["recipes"]}}
    if left_out == "recipes":
        listed["recipes"] = {"rescalenet_mixup": {}}
    tier = a_tier({"arm": {"set": {"augment": "resized_crop_flip"}}} if left_out == "datasets" else None, "quick", **listed)
    for arm_name, arm in (("arm", an_arm(**RESNET)), ("arm@rms_norm", as_guest(an_arm(**RESNET), "rms_norm"))):
        with mistake(
            f"workflows/tiers/quick.yaml: tasks.imagenet.{left_out}", f"papers/paper.yaml: arms.{arm_name}", f"{name!r}", would_do
        ):
            points("paper", arm_name, arm, tier)


def test_a_users_dataset_stays_where_the_tier_or_the_arms_own_override_says_so():
    kept = {**LISTED, "datasets": {"cifar10": "cifar10"}}
    arm = {**RESNET, "dataset": "cifar10"}
    assert only(a_tier(tier="gpu", **kept), **arm).dataset == "cifar10"
    del kept["datasets"]
    assert only(a_tier({"arm": {"dataset": "digits"}}, "quick", **kept), **arm).dataset == "digits"
    assert only(a_tier(tier="quick", **kept), **{**arm, "dataset": "digits"}).dataset == "digits"  # embedded


def test_a_model_given_in_full_needs_no_listing():
    model = {"family": "plain_cnn", "depth": 10}
    assert only(a_tier(tier="quick", **{**LISTED, "models": {}}), **{**RESNET, "model": model}).model == model


@pytest.mark.parametrize("part, name", [("recipes", "trajectory"), ("models", "plain")])
def test_a_plan_whose_tier_lists_less_than_its_papers_want_is_refused(monkeypatch, part, name):
    tier = read_tier("quick")
    at = tier.tasks["propagation"]
    less = at.model_copy(update={part: {k: v for k, v in getattr(at, part).items() if k != name}})
    changed = tier.model_copy(update={"tasks": {**tier.tasks, "propagation": less}})
    monkeypatch.setattr("normbench.planning.make.read_tier", lambda _: changed)
    with mistake(f"workflows/tiers/quick.yaml: tasks.propagation.{part}", f"{name!r}", "papers/"):
        make_plan("quick")


def test_a_paper_may_bring_recipes_and_models_of_its_own():
    own = {
        "recipes": {"imagenet": {"mine": {"steps": 3, "batch_size": 4, "lr": 0.1}}},
        "models": {"imagenet": {"net": {"family": "plain_cnn", "depth": 10}}},
    }
    arms = {"arm": {"dataset": "digits", "model": "net", "method": "batch_norm", "recipe": "mine"}}
    fields = {"key": "mine", "title": "", "venue": "", "reviews": "", "task": "imagenet", "arms": arms, "claims": []}
    paper = Paper.model_validate({**fields, **own})
    arm = paper.arms["arm"]
    assert arm.task == "imagenet"
    ((_, spec),) = points("mine", "arm", arm, a_tier(), paper.task_of(arm))
    assert (spec.model["family"], spec.recipe["steps"]) == ("plain_cnn", 3)
    with mistake("tasks.imagenet.recipes", "'mine'", "papers/mine.yaml: arms.arm"):
        points("mine", "arm", arm, a_tier(tier="quick"), paper.task_of(arm))
    smaller = a_tier(tier="quick", recipes={"mine": {"steps": 1}}, models={"net": {"width": 8}})
    ((_, spec),) = points("mine", "arm", arm, smaller, paper.task_of(arm))
    assert (spec.model["width"], spec.recipe["steps"]) == (8, 1)
    with mistake("arms.arm: model", "'net'"):
        points("mine", "arm", arm, a_tier())


def test_a_pattern_that_names_no_arm_is_a_mistake():
    tier = a_tier({"dept100_*": {"set": {"lr": 1}}}, "quick")
    with mistake("workflows/tiers/quick.yaml: arms.paper", "'dept100_*'", "arm", "'depth100_bn'"):
        check_overrides(tier, "paper", {"depth100_bn": an_arm()})
    check_overrides(a_tier({"depth100_*": {}}), "paper", {"depth100_bn": an_arm()})


def test_mistakes_in_a_tiers_file(tmp_path):
    text = (FOLDER / "tiny.yaml").read_text(encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0, 0]"), encoding="utf-8")
    with mistake("tiny.yaml: seeds", "[0, 0]", "twice"):
        read_tier("tiny", tmp_path)
    with mistake("config: tier", "'quick'", "tiny"):
        read_tier("quick", tmp_path)


SCALE = {"epochs", "steps", "evaluations", "lr", "growth", "batch_size"}  # what another dataset and network want otherwise


@pytest.mark.parametrize("tier", EXISTING)
def test_what_an_arm_exists_to_vary_survives_the_tier(tier):
    """A tier's recipe replaces the scale of a training; format, decay or schedule, where an arm sets them, are what it is about."""
    undone = undone_by(make_plan(tier))
    assert not undone


def undone_by(plan: Plan) -> list[str]:
    undone = []
    for (key, name), found in plan.points.items():
        own = plan.papers[key].arms.get(name)  # None: a guest's
        for field in set(own.set) - SCALE if own else ():
            wanted = canonical(own.set[field])
            undone += [
                f"{key}/{name}: {field}" for point, arm in found if field not in point and canonical(plan.arms[arm].recipe[field]) != wanted
            ]
    return undone


def test_a_tier_that_undoes_an_arm_is_seen():
    plan = make_plan("quick")
    (_, arm), *_ = plan.points["norm_matters", "l2_float16"]
    plan.arms[arm].recipe["precision"] = "amp_bfloat16"
    assert undone_by(plan) == ["norm_matters/l2_float16: precision"]


@pytest.mark.parametrize("tier", EXISTING)
@pytest.mark.parametrize("paper", paper_keys())
def test_every_tier_names_arms_that_exist(tier, paper):
    check_overrides(read_tier(tier), paper, read_paper(paper).arms)
