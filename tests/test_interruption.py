"""A process that is told to stop remembers it, and does what it did before."""

import signal
import subprocess
import sys

import pytest

from normbench.core.schema import ROOT

SCRIPT = """import os, signal, sys
from normbench.execution.interruption import listen, told_to_stop
handled = []
signal.signal(signal.SIGTERM, lambda *_: handled.append("as before"))
listen()
print(told_to_stop())
try:
    os.kill(os.getpid(), int(sys.argv[1]))
except KeyboardInterrupt:
    handled.append("interrupted")
print(told_to_stop(), *handled)"""


@pytest.mark.parametrize("number, does", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "as before")])
def test_the_signal_is_remembered_and_does_what_it_did(number, does):
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(int(number))], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["False", f"True {does}"], done.stderr
