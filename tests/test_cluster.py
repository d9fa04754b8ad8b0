"""What a job asks Slurm for, to the last word of the submit string, and the command that starts its processes."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from pydantic import ValidationError
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string
from snakemake_executor_plugin_slurm_jobstep import get_cpu_setting, get_gpu_setting, get_node_setting

from normbench.config.tasks import Resources, read_task, task_names
from normbench.core.schema import ROOT
from normbench.planning.cluster import Allocation, allocation, launcher
from normbench.planning.make import effort_of, make_plan
from normbench.planning.packing import jobs

PROFILE = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
SIGNALS = "--signals-to-handle=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
ONE_GPU = Allocation(1, 1, 8, 32_000, 60, 720)


class Asked(dict):
    """The resources of a Snakemake job, as the executor reads them: by key and by name."""

    __getattr__ = dict.__getitem__


class Job:
    def __init__(self, resources: str, threads: int = 1):
        pairs = (pair.split("=", 1) for pair in resources.split(", "))
        self.resources = Asked({k: int(v) if re.fullmatch(r"\d+", v) else v for k, v in pairs})
        self.threads = threads


def submitted(job: Job) -> str:
    """The words after `sbatch` that say what is asked for."""
    settings = Asked(requeue=PROFILE["slurm-requeue"], no_requeue=False, qos=None, reservation=None)
    params = {"run_uuid": "u", "slurm_logfile": "l", "comment_str": "c", "account": "", "partition": "", "workdir": None}
    words = get_submit_command(job, params, settings=settings) + set_gres_string(job)
    return " ".join(words.split("--comment c ")[1].split())


@pytest.fixture(scope="module")
def paper_jobs(tmp_path_factory) -> list[Job]:
    """What a dry run of the paper tier says of its trainings."""
    config = ["tier=paper", "papers=skipinit", "tasks=imagenet", f"build={tmp_path_factory.mktemp('build')}"]
    command = [sys.executable, "-m", "snakemake", "all", "-n", "--cores", "1", "--config", *config]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^rule train:$.*?^    resources: (.*?)$", done.stdout + done.stderr, re.MULTILINE | re.DOTALL)
    return [Job(resources) for resources in found]


@pytest.mark.slow
def test_a_training_asks_for_gpus_as_one_total_and_for_no_tasks(paper_jobs):
    strings = {submitted(job) for job in paper_jobs}
    wanted = read_task("imagenet").resources["imagenet"]
    gpus, memory = wanted.gpus, wanted.gpus * wanted.mem_mb  # a batch of 4,096, in parts of 256
    form = rf"-t \d+ --mem {memory} --nodes=1 --requeue --cpus-per-gpu={wanted.cpus} --gpus={gpus}"
    assert any(re.fullmatch(form, s) for s in strings), strings
    assert all(s.count("--gpus=") == 1 and "ntasks" not in s and "gres" not in s for s in strings)
    step = max(paper_jobs, key=lambda job: job.resources.mem_mb)
    assert (get_gpu_setting(step), get_node_setting(step), get_cpu_setting(step, True)) == (
        f"--gpus={gpus}", "--nodes=1", f"--cpus-per-gpu={wanted.cpus}"
    )  # fmt: skip


def test_a_training_on_a_core_asks_for_no_gpu():
    job = Job("gpu=0, nodes=1, cpus_per_gpu=1, mem_mb=2500, runtime=11")
    assert submitted(job) == "-t 11 --mem 2500 --nodes=1 --requeue --ntasks=1 --cpus-per-task=1"


def test_the_profile_avoids_what_waits_for_ever():
    assert PROFILE["slurm-status-command"] == "squeue" and PROFILE["slurm-requeue"] is True
    assert PROFILE["retries"] > 0 and not any("array" in key for key in PROFILE)
    assert "retries" not in (ROOT / "workflows" / "runs.smk").read_text()  # a rule's own would be tried again inside each job
    assert set(PROFILE["rerun-triggers"]) == {"mtime"} and PROFILE["latency-wait"] >= 60


def test_only_trainings_are_submitted():
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *sorted((ROOT / "workflows").glob("*.smk"))])
    local = set(re.search(r"^localrules: (.*)$", text, re.MULTILINE).group(1).split(", "))
    assert set(re.findall(r"^rule (\w+):", text, re.MULTILINE)) - local == {"train"}


def test_small_runs_share_an_allocation_and_none_is_with_those_that_take_another():
    plan = make_plan("paper")
    packs = jobs(plan, plan.selected)
    assert {arm for pack in packs for arm in pack} == set(plan.selected)
    for pack in packs:
        assert len({plan.gpus(arm) for arm in pack}) == 1
        runs = [plan.run_seconds(arm) for arm, seeds in pack.items() for _ in seeds]
        assert len(runs) == 1 or sum(runs) - runs[-1] / 2 <= plan.tier.job_seconds
    assert max(len(pack) for pack in packs) > 1
    long = max(plan.selected, key=plan.run_seconds)  # a run that fills a job by itself shares it with no other seed
    assert plan.run_seconds(long) > plan.tier.job_seconds and sum(long in pack for pack in packs) == len(plan.seeds(long))


def test_the_first_attempts_time_follows_the_work_and_none_passes_the_limit():
    plan = make_plan("quick")
    few, many = (allocation(plan, {arm: plan.seeds(arm) for arm in plan.selected[:n]}) for n in (2, 100))
    assert few.gpus == 0 and few.minutes < many.minutes
    assert few.runtime(2) == 2 * few.minutes and replace(few, limit=12).runtime(3) == 12


def test_the_memory_of_a_run_is_that_of_its_gpus(monkeypatch):
    plan = make_plan("paper")
    wide = Resources(gpus=8, nodes=2, cpus=6, mem_mb=10_000, runtime_minutes=99)
    monkeypatch.setattr("normbench.planning.cluster.resources_of", lambda spec: wide)
    arm = plan.selected[0]
    plan.efforts[arm] = replace(plan.efforts[arm], gpus=8)
    held = allocation(plan, {arm: [0]})
    assert (held.gpus, held.nodes, held.cpus, held.mem_mb, held.limit) == (8, 2, 6, 40_000, 99)


@pytest.mark.parametrize(
    "batch, device_batch, gpus", [(1024, 128, 8), (1024, None, 1), (1024, 512, 2), (384, 128, 3), (100, 128, 1), (1000, 128, 1)]
)
def test_a_run_takes_the_gpus_that_its_batch_fills(batch, device_batch, gpus, monkeypatch):
    plan = make_plan("paper")
    monkeypatch.setattr("normbench.planning.make.resources_of", lambda spec: Resources(gpus=8))
    spec = next(spec for spec in plan.arms.values() if "device_batch_size" in spec.recipe)
    changed = replace(spec, recipe={**spec.recipe, "batch_size": batch, "device_batch_size": device_batch})
    assert effort_of(changed, plan.tier).gpus == gpus


def test_a_core_gets_a_plain_process_and_a_gpu_gets_torchrun():
    assert launcher(replace(ONE_GPU, gpus=0)) == f"{sys.executable} -m"
    assert launcher(ONE_GPU) == f"{sys.executable} -m torch.distributed.run {SIGNALS} --standalone --nproc-per-node=1 -m"
    assert "--standalone --nproc-per-node=8 " in launcher(replace(ONE_GPU, gpus=8))
    wide = launcher(replace(ONE_GPU, gpus=16, nodes=2))
    assert wide.startswith("srun --overlap --nodes=2 --ntasks=2 --ntasks-per-node=1 --gpus-per-node=8 ")
    assert "--nnodes=2 --nproc-per-node=8 " in wide and "--standalone" not in wide


def test_nobody_reads_a_rank_from_slurm():
    for part in ("normbench", "tasks"):
        for path in (ROOT / part).rglob("*.py"):
            assert not re.search(r"environ[^\n]*SLURM_", path.read_text()), path


@pytest.mark.parametrize("name", task_names())
def test_a_task_says_what_its_own_datasets_take(name):
    task = read_task(name)
    assert set(task.resources) <= set(task.datasets)


def test_gpus_that_nodes_cannot_share():
    with pytest.raises(ValidationError, match="gpus: 8 cannot be shared evenly by 3 nodes"):
        Resources(gpus=8, nodes=3, runtime_minutes=1)
