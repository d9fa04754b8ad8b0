"""A job whose trainings only leave a record:  python shared_job.py FOLDER <what normbench.execution.job takes>

Each line of FOLDER/log is "began" or "ended", the arm and the process. An arm trains as long as FOLDER/hold-<arm> is there, and
ends with a mistake if it is called "bad".
"""

import os
import sys
import time
from pathlib import Path

from records_on_disk import a_record

from normbench.core.errors import InputError
from normbench.execution import job
from normbench.execution.records import write_record

FOLDER = Path(sys.argv[1])


def hold_and_record(place, content, seed):
    arm = content["arm"]
    say("began", arm)
    while (FOLDER / f"hold-{arm}").exists():
        time.sleep(0.02)
    if arm == "bad":
        raise InputError(f"{arm}: is a mistake")
    write_record(a_record(seed, arm, spec=content["spec"]), place.folders.record(f"{arm}-s{seed}"))
    say("ended", arm)


def say(what: str, arm: str) -> None:
    with open(FOLDER / "log", "a") as file:
        file.write(f"{what} {arm} {os.getpid()}\n")


if __name__ == "__main__":
    job.train_run = hold_and_record
    sys.argv[1:] = sys.argv[2:]
    sys.exit(job.main())
