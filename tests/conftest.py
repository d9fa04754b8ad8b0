"""One thread a process: the tests run in two, and small tensors gain nothing from more. No deadlines: a busy machine breaks no property."""

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
