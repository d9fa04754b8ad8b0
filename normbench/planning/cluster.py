"""What a job asks a cluster for, and the command that starts its processes. Torch-free.

A run on a CPU core is one plain process; whatever has a GPU is started by torchrun, which alone says what rank a process has.
(A job's step has SLURM_PROCID also where it is one process.)
"""

import math
import shlex
import sys
from dataclasses import dataclass

from normbench.config.tasks import Resources
from normbench.planning.plan import Job, Plan, resources_of

CPU_MEM_MB = 2500  # of one process that trains on a CPU core, and of the three of Snakemake around it
SLACK = 2  # the expected time is good to this factor
START_MINUTES = 10  # imports, data, the queue's own delays
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # what torchrun hands on to the training, which then has 30 s
MASTER_PORT = 29400  # the first of a thousand, of which the job's number chooses


@dataclass(frozen=True)
class Allocation:
    """What a job holds: GPUs over all nodes (0: one CPU core), CPUs for each GPU, memory on each node, minutes and the most of them."""

    gpus: int
    nodes: int
    cpus: int
    mem_mb: int
    minutes: int
    limit: int

    def runtime(self, attempt: int) -> int:
        """Minutes; where the first attempt was too short, the next may take longer."""
        return min(self.minutes * attempt, self.limit)


def allocation(plan: Plan, job: Job) -> Allocation:
    """Of a job that trains its runs one after another; they take equally many GPUs."""
    minutes = START_MINUTES + math.ceil(SLACK * plan.job_seconds(job) / 60)
    wanted = [resources_of(plan.arms[arm]) for arm in job] or [Resources()]
    limit = max(w.runtime_minutes for w in wanted)
    gpus = max((plan.gpus(arm) for arm in job), default=0)
    if not gpus:
        return Allocation(0, 1, 1, CPU_MEM_MB, minutes, limit)
    nodes = max(w.nodes if w.gpus == gpus else 1 for w in wanted)
    return Allocation(gpus, nodes, max(w.cpus for w in wanted), max(w.mem_mb for w in wanted) * gpus // nodes, minutes, limit)


def launcher(held: Allocation) -> str:
    """The words in front of a module's name that start it in as many processes as there are GPUs."""
    python = shlex.quote(sys.executable)
    if not held.gpus:
        return f"{python} -m"
    torchrun = f"{python} -m torch.distributed.run --signals-to-handle={SIGNALS}"
    each = f"--nproc-per-node={held.gpus // held.nodes}"
    if held.nodes == 1:
        return f"{torchrun} --standalone {each} -m"
    # The shell that expands this is on the first node, and torchrun finds the others through it.
    meeting = f"--rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID --rdzv-endpoint=$(hostname):$(({MASTER_PORT} + SLURM_JOB_ID % 1000))"
    everywhere = f"srun --overlap --nodes={held.nodes} --ntasks={held.nodes} --ntasks-per-node=1 --gpus-per-node={held.gpus // held.nodes}"
    return f"{everywhere} {torchrun} --nnodes={held.nodes} {each} {meeting} -m"
