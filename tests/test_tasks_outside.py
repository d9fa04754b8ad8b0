"""Tasks and papers outside the repository: found, checked and planned as ours are; what is broken costs itself only."""

import pytest
from facts import mistake
from outside import ADAPTER, TASK, write_paper, write_task

from normbench.config.code_hash import code_of_run
from normbench.config.papers import paper_file, read_paper, reported_number
from normbench.config.tasks import load_adapter, load_preparer, read_task, readable_tasks, task_folder, task_names
from normbench.core.errors import InputError
from normbench.planning.make import Selection, make_plan

pytestmark = pytest.mark.slow


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    folder = tmp_path / "my_tasks"
    folder.mkdir()
    monkeypatch.setenv("NORMBENCH_TASKS_PATH", str(folder))
    return folder


@pytest.fixture
def papers(tmp_path, monkeypatch):
    folder = tmp_path / "my_papers"
    folder.mkdir()
    monkeypatch.setenv("NORMBENCH_PAPERS_PATH", str(folder))
    return folder


def sentence(call, *args) -> str:
    with pytest.raises(InputError) as caught:
        call(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_task_outside_is_found_read_and_imported_under_its_name(tasks):
    folder = write_task(tasks, "outside_a", adapter="from tasks.outside_a import data\nfrom . import data as same\n" + ADAPTER)
    (folder / "data.py").write_text("ANSWER = 42\n", encoding="utf-8")
    assert "outside_a" in task_names() and task_folder("outside_a") == folder and read_task("outside_a").headline == "score"
    adapter = load_adapter("outside_a")
    assert adapter.data is adapter.same and adapter.data.ANSWER == 42
    assert load_preparer("outside_a")("noise", tasks) == "hash"


def test_a_tasks_code_is_hashed_wherever_it_lies(tasks):
    for name, adapter in (("hashed", ADAPTER), ("alike", ADAPTER), ("unlike", ADAPTER.replace("hash", "other"))):
        write_task(tasks, f"outside_{name}", adapter=adapter)
    hashed, alike, unlike = (code_of_run(f"outside_{name}", "none") for name in ("hashed", "alike", "unlike"))
    assert hashed == alike and hashed["task"] != unlike["task"] and hashed["method"] == unlike["method"]


@pytest.mark.parametrize("name, other", [("imagenet", "tasks/imagenet/task.yaml"), ("images", "tasks/images")])
def test_a_name_that_is_taken_names_both(name, other, tasks):
    folder = write_task(tasks, name)
    says = sentence(read_task, name)
    assert str(folder) in says and other in says


def test_a_folder_of_another_name_than_its_task_is_a_mistake(tasks):
    folder = write_task(tasks, "outside_b", TASK.replace("task: {name}", "task: other"))
    says = sentence(read_task, "outside_b")
    assert says.startswith(f"{folder}/task.yaml: ") and "'other'" in says and "'outside_b'" in says


ADAPTERS = {
    "no adapter": (None, "has no adapter.py"),
    "no Python": (ADAPTER.replace("def run(arm, seed, context):", "def run(arm"), "line"),
    "a missing hook": (ADAPTER.replace("def check(", "def chekc("), "needs check(arm)"),
    "other arguments": (ADAPTER.replace("run(arm, seed, context)", "run(arm, context)"), "takes (arm, seed, context), got (arm, context)"),
    "one more argument": (ADAPTER.replace("run(arm, seed, context)", "run(arm, seed, context, more)"), "takes (arm, seed, context), got"),
    "a package that is not here": ("import no_such_package\n" + ADAPTER, "no_such_package"),
}


@pytest.mark.parametrize("number, what", enumerate(ADAPTERS))
def test_an_adapter_that_keeps_no_contract_is_one_sentence_with_its_file(number, what, tasks):
    adapter, says = ADAPTERS[what]
    folder = write_task(tasks, f"outside_adapter{number}", adapter=adapter)
    found = sentence(load_adapter, folder.name)
    assert found.startswith(str(folder)) and says in found


def test_a_hook_may_be_imported_and_take_more_by_default(tasks):
    adapter = ADAPTER.replace("context)", "context, clock=None)").replace('def prepare(dataset, root):\n    return "hash"\n', "")
    folder = write_task(tasks, "outside_c", adapter="from tasks.outside_c.making import prepare\n" + adapter)
    (folder / "making.py").write_text("def prepare(dataset, root):\n    return 'made'\n", encoding="utf-8")
    load_adapter("outside_c")
    assert load_preparer("outside_c")("noise", tasks) == "made"


def test_a_paper_outside_is_planned_with_what_its_task_says_of_the_tier(tasks, papers):
    write_task(tasks, "outside_d")
    path = write_paper(papers, "theirs", "outside_d")
    plan = make_plan("tiny", Selection(papers=("theirs",)))
    (spec,) = plan.arms.values()
    assert (spec.recipe["steps"], spec.recipe["lr"], spec.model["width"]) == (9, 0.2, 1)
    assert plan.seeds(spec.id) == [7]
    assert paper_file("theirs") == str(path) and path in read_paper("theirs").inputs()


def test_what_a_paper_says_of_a_tier_wins_over_its_task_and_loses_to_itself_for_an_arm(tasks, papers):
    write_task(tasks, "outside_e")
    more = """tiers:
  tiny:
    tasks: {outside_e: {recipes: {sgd: {steps: 5}}, models: {net: {depth: 20}}}}
    arms: {"o*": {set: {lr: 0.3}}}
"""
    write_paper(papers, "theirs", "outside_e", more)
    (spec,) = make_plan("tiny", Selection(papers=("theirs",))).arms.values()
    assert (spec.recipe["steps"], spec.recipe["lr"]) == (5, 0.3)
    assert (spec.model["width"], spec.model["depth"]) == (1, 20)


@pytest.mark.parametrize(
    "tiers, says",
    [
        ("{tinny: {}}", "tinny"),
        ("{tiny: {arms: {two: {}}}}", "tiers.tiny.arms: 'two'"),
        ("{tiny: {tasks: {imagenet: {}}}}", "tiers.tiny.tasks: 'imagenet'"),
        ("{tiny: {tasks: {outside_f: {seeds: [1]}}}}", "seeds"),
        ("{tiny: {tasks: {outside_f: {recipe: {}}}}}", "'recipe'"),
    ],
)
def test_a_mistake_in_a_papers_tiers_is_named(tiers, says, tasks, papers):
    write_task(tasks, "outside_f")
    path = write_paper(papers, "theirs", "outside_f", f"tiers: {tiers}\n")
    found = sentence(read_paper, "theirs")
    assert found.startswith(f"{path}: ") and says in found


def broken_yaml(tasks, papers):
    write_task(tasks, "outside_g")
    return write_paper(papers, "theirs", "outside_g", "more: true\n")


def broken_task(tasks, papers):
    folder = write_task(tasks, "outside_h", TASK.replace("headline", "headlin"))
    write_paper(papers, "theirs", "outside_h")
    return folder / "task.yaml"


def broken_adapter(tasks, papers):
    folder = write_task(tasks, "outside_i", adapter=ADAPTER.replace("def check(", "def chekc("))
    write_paper(papers, "theirs", "outside_i")
    return folder / "adapter.py"


def broken_numbers(tasks, papers):
    write_task(tasks, "outside_j")
    path = write_paper(papers, "theirs", "outside_j").with_name("theirs.reported.csv")
    path.write_text("paper,table\ntheirs,1\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("broken", [broken_yaml, broken_task, broken_adapter, broken_numbers])
def test_a_broken_paper_or_task_costs_itself_only(broken, tasks, papers, capsys):
    file = broken(tasks, papers)
    write_task(tasks, "outside_sound")
    write_paper(papers, "sound", "outside_sound")
    plan = make_plan("tiny", Selection(tasks=("outside_sound",)))
    assert "sound" in plan.papers and "skipinit" in plan.papers and "theirs" not in plan.papers and len(plan.selected) == 1
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {file}: ")
    assert sentence(make_plan, "tiny", Selection(papers=("theirs",))).startswith(f"{file}: ")


def test_a_broken_task_that_is_asked_for_is_an_error_and_no_other_is_lost(tasks, capsys):
    folder = write_task(tasks, "outside_k", TASK.replace("headline", "headlin"))
    assert sentence(make_plan, "tiny", Selection(tasks=("outside_k",))).startswith(f"{folder}/task.yaml: ")
    assert "imagenet" in readable_tasks() and "outside_k" not in readable_tasks()


HEAD = "paper,table,setting,method,metric,value,unit,std,kind,precision,source,note\n"
OURS = "skipinit,table 1-2,cifar10 wide_resnet depth100,divide_sqrt2,test_top1,1,%,,verbatim,,s,\n"


def test_published_numbers_lie_beside_a_papers_yaml(tasks, papers):
    write_task(tasks, "outside_l")
    path = write_paper(papers, "theirs", "outside_l").with_name("theirs.reported.csv")
    path.write_text(HEAD + "theirs,t,s,none,score,12.5,%,,verbatim,,s,\n", encoding="utf-8")
    where = {"table": "t", "setting": "s", "method": "none", "metric": "score"}
    assert reported_number(read_paper("theirs"), where, "here")["value"] == "12.5"
    cited = {"paper": "skipinit", "table": "table 1-2", "setting": "cifar10 wide_resnet depth100", "method": "divide_sqrt2"}
    assert reported_number(read_paper("theirs"), {**cited, "metric": "test_top1"}, "here")["value"] == "88.9"
    assert path in read_paper("theirs").inputs()


@pytest.mark.parametrize("row, says", [(OURS, "'skipinit'"), ("theirs,t,s,m,x,1,%,,verbatim,,s,\n" * 2, "twice")])
def test_numbers_of_another_paper_or_given_twice_are_a_mistake(row, says, tasks, papers):
    write_task(tasks, "outside_m")
    path = write_paper(papers, "theirs", "outside_m").with_name("theirs.reported.csv")
    path.write_text(HEAD + row, encoding="utf-8")
    found = sentence(make_plan, "tiny", Selection(papers=("theirs",)))
    assert found.startswith(f"{path}: line ") and says in found


def test_a_task_whose_dataset_has_the_name_of_another_tasks_costs_itself_only(tasks, papers, capsys):
    write_task(tasks, "outside_clash")
    file = tasks / "outside_clash" / "task.yaml"
    file.write_text(file.read_text().replace("outside_clash_noise", "digits"))
    write_paper(papers, "clashing", "outside_clash")
    yaml = papers / "clashing.yaml"
    yaml.write_text(yaml.read_text().replace("outside_clash_noise", "digits"))
    plan = make_plan("tiny")
    assert "clashing" not in plan.papers and plan.arms
    said = capsys.readouterr().err
    assert str(file) in said and "'digits'" in said
    with mistake(file, "tasks/imagenet/task.yaml", "'digits'"):
        make_plan("tiny", Selection(papers=("clashing",)))
