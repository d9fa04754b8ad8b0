"""One thread a process: the tests run in two, and small tensors gain nothing from more. No deadlines: a busy machine breaks no property."""

import importlib.util
import os
import sys

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def arithmetic_as_it_was():
    """How a test let its process compute is its own matter: where subnormal numbers count as zero, hypothesis draws no floats."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
        torch.set_deterministic_debug_mode("default")
        torch.utils.deterministic.fill_uninitialized_memory = True


def pytest_collection_modifyitems(items):
    """Files with slow tests come first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter):
    """What this environment could not test is said in a line of its own."""
    if importlib.util.find_spec("detectron2") is None:
        terminalreporter.write_line(
            "detectron2 is not installed: the tests of its engine (tests/test_coco_*) were left out; tasks/coco/README.md installs it"
        )
