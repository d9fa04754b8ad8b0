"""How often Python's garbage collector looks: what short programs of many small objects have no time for."""

import gc


def leave_imports_alone() -> None:
    """Take what is imported from the collector, which else reads torch's hundred thousand objects each time, and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
