"""A throw-away Slurm on loopback for tests: munged, slurmctld and one slurmd a node, with two declared GPUs each.

    python tests/slurm/local_slurm.py start FOLDER [NODES]
    python tests/slurm/local_slurm.py stop FOLDER

Nothing outside FOLDER is written. Afterwards `PATH=FOLDER/bin:$PATH` has Slurm's commands, each with the path of its configuration
in it, for Snakemake's job step takes SLURM_CONF out of the environment.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
INSTALL = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct", "sacctmgr", "sshare")
FIRST_PORT = 16_817
CPUS, MEMORY_MB, GPUS = 8, 16_000, 2  # of a node, as declared
PATIENCE = 600.0  # seconds until all nodes are idle
LENIENCE = 20.0  # seconds that a daemon has to end before it is killed

# No daemon listens elsewhere than on loopback; nothing is accounted, confined or mailed, and the scheduler does not wait.
CONFIGURATION = """ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={port}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1,requeue_delay=0
SlurmdParameters=config_overrides
MinJobAge=300
KillWait={kill_wait}
JobRequeue=1
MailProg=/bin/true
GresTypes=gpu
{nodes}
PartitionName=ci Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
KILL_WAIT = 10  # seconds between SIGTERM and SIGKILL


class Unavailable(RuntimeError):
    """Why there is no Slurm here, in words."""


def install() -> None:
    """Slurm's daemons from Debian, where they are missing and this user may install them."""
    missing = [name for name in DAEMONS if not _found(name)]
    if not missing:
        return
    if os.geteuid() or not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(missing)}: not installed; as root: {INSTALL}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ("apt-get update", INSTALL):
        done = subprocess.run(command.split(), env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"{', '.join(missing)}: not installed, and `{INSTALL}` failed: {done.stderr.strip().splitlines()[-1]}")


def start(folder: Path, nodes: int = 1, port: int = FIRST_PORT, cpus: int = CPUS) -> Path:
    """Start the daemons; returns the folder of commands. cpus: of a node, as declared.

    Raises Unavailable with the daemons' last words where they do not come up.
    """
    folder = folder.resolve()
    install()
    for part in ("etc", "run", "log", "state", "bin", *(f"spool/n{i}" for i in range(nodes))):
        (folder / part).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # munge wants to be reached
    _write_configuration(folder, nodes, port, cpus)
    _write_commands(folder)
    environment = {**os.environ, "SLURM_CONF": str(folder / "etc" / "slurm.conf")}
    for command in (_munged(folder), ["slurmctld"], *(["slurmd", "-N", f"n{i}"] for i in range(nodes))):
        done = subprocess.run([_found(command[0]), *command[1:]], env=environment, capture_output=True, text=True)
        if done.returncode:
            stop(folder)
            raise Unavailable(f"{command[0]} did not start: {done.stderr.strip()}\n{_last_words(folder)}")
    limit = time.monotonic() + PATIENCE
    while _idle_nodes(folder) < nodes:
        if time.monotonic() > limit:
            words = _last_words(folder)
            stop(folder)
            raise Unavailable(f"after {PATIENCE:.0f} s not all of {nodes} nodes are idle:\n{words}")
        time.sleep(0.05)
    return folder / "bin"


def stop(folder: Path) -> None:
    """End the daemons that were started in `folder`, by their own process ids."""
    for file in sorted(folder.resolve().glob("run/*.pid"), key=lambda path: path.name, reverse=True):
        with contextlib.suppress(ValueError, ProcessLookupError, FileNotFoundError):
            _end(int(file.read_text()))


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + LENIENCE
    while time.monotonic() < limit:
        if _is_gone(pid):
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def _is_gone(pid: int) -> bool:
    """Also where nobody collects what ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _write_configuration(folder: Path, nodes: int, port: int, cpus: int) -> None:
    host, user = socket.gethostname().split(".")[0], os.popen("id -un").read().strip()
    node = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
    lines = "\n".join(f"NodeName=n{i} Port={port + 1 + i} {node}" for i in range(nodes))
    text = CONFIGURATION.format(folder=folder, host=host, user=user, port=port, nodes=lines, kill_wait=KILL_WAIT)
    (folder / "etc" / "slurm.conf").write_text(text)
    # A GPU needs a device file, and these two are everywhere.
    gpus = [f"NodeName=n{i} Name=gpu File={file}" for i in range(nodes) for file in ("/dev/null", "/dev/zero")]
    (folder / "etc" / "gres.conf").write_text("\n".join(["AutoDetect=off", *gpus]) + "\n")
    key = folder / "etc" / "munge.key"
    if not key.exists():
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))


def _write_commands(folder: Path) -> None:
    for name in COMMANDS:
        if path := _found(name):
            file = folder / "bin" / name
            file.write_text(f'#!/bin/sh\nexport SLURM_CONF={folder}/etc/slurm.conf\nexec {path} "$@"\n')
            file.chmod(0o755)


def _munged(folder: Path) -> list[str]:
    run = folder / "run"
    files = {"key-file": folder / "etc" / "munge.key", "socket": run / "munge.socket", "pid-file": run / "munged.pid"}
    files |= {"log-file": folder / "log" / "munged.log", "seed-file": run / "munged.seed"}
    return ["munged", *(f"--{name}={path}" for name, path in files.items())]


def _idle_nodes(folder: Path) -> int:
    done = subprocess.run([folder / "bin" / "sinfo", "-h", "-N", "-o", "%T"], capture_output=True, text=True)
    return done.stdout.split().count("idle")


def _last_words(folder: Path) -> str:
    logs = [f"{log.name}: {line}" for log in sorted(folder.glob("log/*.log")) for line in log.read_text().splitlines()[-5:]]
    return "\n".join(logs)


def _found(name: str) -> str | None:
    """Daemons lie where a user's PATH does not look."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def main() -> None:
    action, folder = sys.argv[1], Path(sys.argv[2])
    if action == "start":
        print(f"export PATH={start(folder, int(sys.argv[3]) if len(sys.argv) > 3 else 1)}:$PATH")
    else:
        stop(folder)


if __name__ == "__main__":
    main()
