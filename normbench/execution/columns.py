"""The columns of every table that is collected from records, the only place that lists them: readers, writers and the published
dataset's descriptions build on it. Torch-free."""

from dataclasses import dataclass
from fnmatch import fnmatch

from normbench.execution.records import Status

STATUS = Status.__args__


@dataclass(frozen=True)
class Column:
    """type: string, integer or number. unit: in words, "" where a number has none. required: never empty. words: all that it may say.

    again: measured anew each time, so that an equal run keeps what was published of it before.
    """

    name: str
    type: str
    says: str
    unit: str = ""
    required: bool = True
    words: tuple[str, ...] = ()
    again: bool = False


@dataclass(frozen=True)
class Described:
    """A file of a tier, or several of one kind. path: as a pattern below results/<tier>/. columns: () where it is no table.

    key: the columns that tell its rows apart.
    """

    name: str
    path: str
    says: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()

    def matches(self, path: str) -> bool:
        return fnmatch(path, self.path)


def text(name: str, says: str, *, required: bool = True, words: tuple[str, ...] = ()) -> Column:
    return Column(name, "string", says, required=required, words=words)


def number(name: str, says: str, unit: str = "", *, required: bool = True, again: bool = False) -> Column:
    return Column(name, "number", says, unit, required, again=again)


def whole(name: str, says: str, unit: str = "", *, required: bool = True, again: bool = False) -> Column:
    return Column(name, "integer", says, unit, required, again=again)


OF_THE_METRIC = "the metric's, in `unit`"
RUN = text("run", "the run: its arm's id, -s and the seed")

RUNS = Described(
    "runs",
    "runs.parquet",
    "One row per run and metric. A run without any metric (it diverged before it could be measured, or its method refuses the model) "
    "has one row, whose metric is `status` and whose value is empty.",
    (
        RUN,
        text("task", "what was trained or measured: a folder of tasks/"),
        text("dataset", "the data, one of the task's"),
        text("model", "the network, as JSON"),
        text("model_name", "what the papers call the network, at their own scale; several names are separated by a space"),
        text("method", "how the network keeps its signal in range: a file of methods/"),
        text("params", "the method's parameters, as JSON"),
        text("recipe", "how it was trained or measured, as JSON"),
        text("arm", "the run but for its seed: a readable head and the hash of all that determines it (plan.json has it in full)"),
        text("paper_arms", "the papers' arms that the run belongs to, paper/arm, as JSON; a guest's is paper/arm@method"),
        whole("seed", "of initialization, data order and augmentation"),
        text("tier", "what fidelity was affordable: a file of workflows/tiers/"),
        text("status", "how the run ended; a diverged run is a result", words=STATUS),
        text("metric", "what was measured: one of the task's metrics"),
        number("value", "what came of it", OF_THE_METRIC, required=False),
        text("unit", "of the value; empty where it has none", required=False),
        whole("n_parameters", "learnable parameters of the network", "parameters"),
        number("seconds", "wall clock of the run on its machine", "s", again=True),
        whole("peak_memory_bytes", "most memory: of the GPU for this run, on a CPU of the process so far", "bytes", again=True),
        text("method_sha256", "hash of the method's file"),
        text("data_sha256", "hash of the dataset's manifest"),
        Column(
            "git_commit",
            "string",
            "the code's commit, + where files differed from it; where there is none, the package's version and why",
            required=False,
            again=True,
        ),
        text("torch", "its version"),
        text("device", "the GPU's name, or cpu"),
        text("engine", "the framework that trained, with its version"),
    ),
    ("run", "metric"),
)
CURVES = Described(
    "curves",
    "curves.parquet",
    "What a run showed while it trained.",
    (
        RUN,
        whole("step", "steps made so far", "steps"),
        text("metric", "a metric of the task, or of the training: train_loss, weight_norm, ..."),
        number("value", "at that step", "the metric's"),
    ),
    ("run", "metric", "step"),
)
PROBES = Described(
    "probes",
    "probes.parquet",
    "What was read off single layers of a run's network.",
    (
        RUN,
        text("layer", "its name in the network"),
        whole("k", "the block that it is in, from 1", required=False),
        whole("depth", "how many blocks there are", required=False),
        text("quantity", "what was read; tasks/propagation/README.md and normbench/diagnostics/probes.py define each"),
        number("value", "in single precision or better", "the quantity's"),
    ),
)
# Published with nothing: a machine decides what stands there.
SPEED = Described(
    "speed",
    "speed.csv",
    "How fast each arm trained on each device, and what more processes were worth.",
    (
        text("arm", "as in runs.parquet"),
        text("task", "as in runs.parquet"),
        text("dataset", "as in runs.parquet"),
        text("model", "the network's family and depth"),
        text("method", "as in runs.parquet"),
        text("device", "the GPU's name, or cpu"),
        whole("world_size", "processes that trained a run together, each with a device"),
        whole("device_batch_size", "samples that one of them passed through the network at once", required=False),
        whole("runs", "how many trained so"),
        number("samples_per_second", "median of the runs, inside training steps, all processes together", "1/s"),
        number("scaling_efficiency", "speed of one process over that in the smallest group; empty in that group", required=False),
        whole("over_world_size", "processes of the smallest group; empty in that group", required=False),
        number("gpu_hours", "mean of a run", "h"),
        whole("peak_memory_bytes", "the largest of the runs", "bytes"),
    ),
    ("arm", "device", "world_size"),
)


def names(file: Described) -> list[str]:
    return [column.name for column in file.columns]


def repeating(file: Described) -> list[str]:
    """The columns in which two runs of the same spec and code agree."""
    return [column.name for column in file.columns if not column.again]
