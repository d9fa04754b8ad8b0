"""How fast arms trained, and what more devices were worth: speed.csv, apart from all that repeats exactly. Torch-free."""

from collections.abc import Iterable
from statistics import fmean, median
from typing import Any

from normbench.config.spec import model_label
from normbench.execution.records import Record


def speed_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """One row an arm, device and number of processes that some of its runs trained with.

    samples_per_second: median of the runs, inside training steps, all processes together. scaling_efficiency: that of one process
    over that of one process of the smallest group that trained the same arm on the same device (over_world_size), empty where
    there is no smaller one. gpu_hours: mean of a run. peak_memory_bytes: the largest.
    """
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if record.samples_per_second is not None:
            groups.setdefault((record.arm, record.device, record.world_size), []).append(record)
    speeds = {place: median(r.samples_per_second for r in group) for place, group in groups.items()}
    rows = []
    for (arm, device, size), group in sorted(groups.items()):
        spec, smallest = group[0].spec, min(n for a, d, n in groups if (a, d) == (arm, device))
        alone = speeds[arm, device, smallest] / smallest
        rows.append(
            {
                "arm": arm,
                **{key: spec[key] for key in ("task", "dataset", "method")},
                "model": model_label(spec["model"]),
                "device": device,
                "world_size": size,
                "device_batch_size": group[0].device_batch_size,
                "runs": len(group),
                "samples_per_second": round(speeds[arm, device, size], 3),
                "scaling_efficiency": round(speeds[arm, device, size] / size / alone, 4) if smallest < size else None,
                "over_world_size": smallest if smallest < size else None,
                "gpu_hours": round(fmean(r.gpu_hours for r in group), 6),
                "peak_memory_bytes": max(r.peak_memory_bytes for r in group),
            }
        )
    return rows
