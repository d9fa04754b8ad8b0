"""What a run is called, what its identity depends on, and which runs a plan consists of."""

from dataclasses import asdict

import pytest
from copies import copy_repository, printed, run_python
from facts import mistake
from hypothesis import given
from hypothesis import strategies as st

from normbench.config.papers import read_paper
from normbench.config.spec import ArmSpec, arm_from, canonical, model_label
from normbench.config.tasks import recipe_schema
from normbench.config.tiers import points, read_tier, with_norms_from
from normbench.planning.make import Selection, make_plan
from normbench.planning.packing import SHORT_JOB, jobs

GUEST = '''"""Nothing but a factor: y = x / 2."""

from dataclasses import dataclass

from torch import nn

CITE = "Nobody, Journal of Examples 2020, arXiv:2000.00000"


@dataclass(frozen=True, kw_only=True)
class Params:
    factor: float = 0.5


class Half(nn.Module):
    def forward(self, x):
        return x / 2


def norm(site, p):
    return Half()


def reference(site, p, state, x):
    return x / 2
'''


def an_arm(**fields) -> ArmSpec:
    recipe = {"steps": 10, "batch_size": 4, "lr": 0.1}
    given = {
        "task": "imagenet",
        "dataset": "digits",
        "model": {"family": "wide_resnet", "depth": 16},
        "method": "skipinit",
        "params": {"a": 1},
    }
    return ArmSpec(**{**given, "recipe": recipe, **fields})


def test_an_id_is_readable_and_stays_the_same():
    assert an_arm().id == "digits-wide_resnet16-skipinit-ca22484a5a"
    assert an_arm().run(3).id == f"{an_arm().id}-s3"
    assert model_label({"family": "resnet", "layers": [2, 2, 2]}) == "resnet2x2x2"


def test_an_id_depends_on_every_field_and_not_on_the_order_of_keys():
    shuffled = an_arm(recipe={"lr": 0.1, "batch_size": 4, "steps": 10})
    assert shuffled.id == an_arm().id and arm_from(asdict(an_arm())) == an_arm()
    others = [
        an_arm(task="coco"),
        an_arm(dataset="digits32"),
        an_arm(model={"family": "wide_resnet", "depth": 16, "width": 2}),
        an_arm(method="rezero"),
        an_arm(params={"a": 2}),
        an_arm(recipe={"steps": 10, "batch_size": 4, "lr": 0.2}),
        with_norms_from(an_arm(), an_arm(method="rezero")),
    ]
    assert len({an_arm().id, *(o.id for o in others)}) == 1 + len(others)


@given(
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3)))
)
def test_equal_data_have_equal_text(data):
    assert canonical(dict(reversed(data.items()))) == canonical(data)


def test_what_is_no_number_has_no_text():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"lr": float("nan")})


def test_papers_share_runs_whose_specs_are_equal():
    arm, tier = read_paper("norm_matters").arms["resnet18_l2"], read_tier("quick")
    ((_, one),) = points("norm_matters", "resnet18_l2", arm, tier)
    ((_, other),) = points("rescalenet", "called_otherwise", arm.model_copy(update={"note": "for another table"}), tier)
    assert one == other and one.id == other.id
    plan = make_plan("quick")
    assert len(plan.arms) == len({canonical(asdict(spec)) for spec in plan.arms.values()})


@pytest.mark.parametrize("tier", ["tiny", "quick"])
def test_jobs_hold_every_run_once_and_those_that_need_anothers_norms_come_later(tier):
    plan = make_plan(tier)
    packs = jobs(plan, plan.selected)
    runs = sorted((arm, seed) for pack in packs for arm, seeds in pack.items() for seed in seeds)
    assert runs == sorted((arm, seed) for arm in set(plan.selected) for seed in plan.seeds(arm))
    first, last = ({arm: i for i, pack in order for arm in pack} for order in (reversed(list(enumerate(packs))), enumerate(packs)))
    depending = {arm: spec.source for arm, spec in plan.arms.items() if spec.source}
    assert depending, "norm_matters corrects with recorded norms"
    assert all(last[source] < first[arm] for arm, source in depending.items())
    assert packs == jobs(plan, list(reversed(plan.selected)))  # the same whatever the order
    assert all(len({plan.arms[arm].task for arm in pack}) == 1 for pack in packs)


@pytest.mark.parametrize("tier, processes", [("quick", 1), ("quick", 2), ("quick", 16), ("tiny", 64)])
def test_on_one_machine_every_process_gets_a_job_of_each_task(tier, processes):
    plan = make_plan(tier)
    packs = jobs(plan, plan.selected, processes)
    runs = sorted((arm, seed) for pack in packs for arm, seeds in pack.items() for seed in seeds)
    assert runs == sorted((arm, seed) for arm in set(plan.selected) for seed in plan.seeds(arm))
    assert packs == jobs(plan, list(reversed(plan.selected)), processes)
    for task in {plan.arms[arm].task for arm in plan.selected}:
        of_task = [pack for pack in packs if plan.arms[next(iter(pack))].task == task]
        assert all(plan.arms[arm].task == task for pack in of_task for arm in pack)
        seconds = [plan.job_seconds(pack) for pack in of_task]
        longest = max(plan.seconds(arm) for pack in of_task for arm in pack)
        assert len(of_task) <= max(1, min(processes, int(sum(seconds) / SHORT_JOB)))
        depending = sum(plan.seconds(arm) for pack in of_task for arm in pack if plan.arms[arm].source)
        assert max(seconds) - min(seconds) <= longest + depending + 1e-6
    for pack in packs:
        assert all(list(pack).index(source) < list(pack).index(arm) for arm in pack if (source := plan.arms[arm].source))


def test_on_one_machine_with_gpus_jobs_are_those_of_a_queue():
    plan = make_plan("paper")
    wanted = plan.selected[:40]
    assert all(plan.gpus(arm) for arm in wanted)
    assert jobs(plan, wanted, 64) == jobs(plan, wanted)


def test_the_arm_whose_norms_are_used_has_recorded_them():
    plan = make_plan("quick")
    for spec in plan.arms.values():
        if spec.source:
            source = plan.arms[spec.source]
            assert source.recipe["norm_control"] == "record" and spec.recipe["norm_control"] in ("correct_lr", "schedule")
            assert (source.model, source.dataset) == (spec.model, spec.dataset)
            assert all(source.recipe[key] == spec.recipe[key] for key in ("steps", "epochs", "batch_size", "norm_every"))


def test_a_selection_leaves_only_what_it_names_and_what_that_needs():
    plan = make_plan("quick", Selection(papers=("norm_matters",), methods=("l1_batch_norm",)))
    assert {plan.arms[arm].method for arm in plan.selected} == {"l1_batch_norm"}
    assert list(plan.papers) == ["norm_matters"] and len(plan.arms) > len(plan.selected) > 0


BROKEN = """from pathlib import Path
from normbench.planning.make import Selection, make_plan
from normbench.planning.plan import Plan
selection = Selection(papers=("norm_matters",))
plan = make_plan("tiny", selection)
plan.write(Path("written"))
assert Plan.read(Path("written")).left_out == plan.left_out
for (paper, arm), because in plan.left_out.items():
    print(arm, because)
print("planned", sorted({spec.method for spec in plan.arms.values()}))
make_plan("tiny", Selection(methods=("l1_batch_norm",)))"""


def test_a_papers_method_whose_file_is_broken_costs_its_arms_only_unless_it_is_asked_for(tmp_path):
    copy_repository(tmp_path)
    (tmp_path / "methods" / "l1_batch_norm.py").write_text("def norm(site p):\n")
    done = run_python(BROKEN, tmp_path)
    *lost, planned = done.stdout.splitlines()
    assert {"resnet50_l1", "l1_float16"} <= {line.split()[0] for line in lost}, done.stderr
    assert all("l1_batch_norm.py" in line and "line 1" in line for line in lost)
    assert "'batch_norm'" in planned and "l1_batch_norm" not in planned
    assert done.returncode == 1 and "l1_batch_norm.py: line 1" in done.stderr.splitlines()[-1]


def test_a_selected_arm_brings_the_one_whose_norms_it_uses(monkeypatch):
    paper = read_paper("norm_matters")
    arms = {name: paper.arms[name].model_copy(update={"method": "group_norm"}) for name in ("wd_corrected", "norm_schedule")}
    changed = paper.model_copy(update={"arms": {**paper.arms, **arms}})
    monkeypatch.setattr("normbench.config.papers.read_paper", lambda key: changed if key == "norm_matters" else read_paper(key))
    plan = make_plan("quick", Selection(papers=("norm_matters",), methods=("group_norm",)))
    (_, source), *_ = plan.points["norm_matters", "wd_on"]
    assert plan.selected.count(source) == 1 and plan.arms[source].method == "batch_norm"


@pytest.mark.parametrize(
    "tier, selection, facts",
    [
        ("quick", Selection(papers=("skipinitt",)), ["config: papers", "'skipinitt'", "'skipinit'"]),
        ("quick", Selection(tasks=("imagnet",)), ["config: tasks", "'imagnet'", "'imagenet'"]),
        ("quick", Selection(methods=("group_nrm",)), ["config: methods", "'group_nrm'", "'group_norm'"]),
        ("quik", Selection(), ["config: tier", "'quik'", "'quick'"]),
    ],
)
def test_an_unknown_name_is_said_with_the_nearest(tier, selection, facts):
    with mistake(*facts):
        make_plan(tier, selection)


PLANNED = """
import json
from normbench.planning.make import make_plan
plan = make_plan("tiny")
points = {
    f"{paper}/{arm}": [plan.arms[i].params for _, i in found]
    for (paper, arm), found in plan.points.items()
    if arm.endswith("@my_norm")
}
wanted = {
    f"{key}/{arm}@my_norm"
    for key, paper in plan.papers.items()
    for shown in (*paper.tables, *paper.figures)
    if shown.start in ("tiny", "quick")
    for arm in shown.guest_places()
}
selected = [plan.arms[i].method for i in plan.selected]
print(json.dumps({"guests": plan.guests, "points": points, "wanted": sorted(wanted), "selected": selected}))
"""


def test_a_new_method_file_stands_in_every_table_and_figure_that_has_guests(tmp_path):
    root = copy_repository(tmp_path)
    (root / "methods" / "my_norm.py").write_text(GUEST)
    found = printed(PLANNED, root)
    assert "my_norm" in found["guests"] and "my_norm" in found["selected"]
    assert sorted(found["points"]) == found["wanted"] != []
    assert all(params == {"factor": 0.5} for points in found["points"].values() for params in points)
    assert "my_norm" not in make_plan("tiny").guests


def test_a_recipe_in_a_spec_is_whole():
    for spec in make_plan("tiny").arms.values():
        assert set(spec.recipe) == set(recipe_schema(spec.task).model_fields)
