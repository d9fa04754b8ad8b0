"""One thread a process: the tests run in two, and small tensors gain nothing from more. No deadlines: a busy machine breaks no property."""

import importlib.util
import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_terminal_summary(terminalreporter):
    """What this environment could not test is said in a line of its own."""
    if importlib.util.find_spec("detectron2") is None:
        terminalreporter.write_line(
            "detectron2 is not installed: the tests of its engine (tests/test_coco_*) were left out; tasks/coco/README.md installs it"
        )
