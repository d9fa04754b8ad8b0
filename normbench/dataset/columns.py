"""What every file of the dataset holds, column by column: the only place; card, schemas and checks are made of it. Torch-free."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch

from normbench.execution.records import Status
from normbench.reporting.summary import VERDICTS

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
INTERVAL = (
    number("low", "lower end of the 95% interval", OF_THE_METRIC, required=False),
    number("high", "upper end of the 95% interval", OF_THE_METRIC, required=False),
)

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
        text("method", "how the network keeps its signal in range: a file of methods/"),
        text("params", "the method's parameters, as JSON"),
        text("arm", "the run but for its seed: a readable head and the hash of all that determines it (plan.json has it in full)"),
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
        Column("git_commit", "string", "the code's commit, + where files differed from it; empty if unknown", required=False, again=True),
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
CLAIMS = Described(
    "claims",
    "claims.csv",
    "The ledger: a row for each claim and question of each paper.",
    (
        text("paper", "its key: a file of papers/"),
        text("claim", "its name in that file"),
        text("kind", "claim, or question of a reviewer"),
        text("task", "what it is about"),
        text("tier", "where it was measured; the verdict is about that tier"),
        text("verdict", "answered stands for a question, which has no yes or no", words=VERDICTS),
        text("because", "the numbers in one sentence"),
        whole("n", "seeds behind it, of the smaller side; points, where it is a correlation"),
        number("effect", "what the test estimated", "the test's", required=False),
        *(Column(c.name, c.type, c.says, "the test's", False) for c in INTERVAL),
        number("margin", "what the effect was compared with, fixed before running", "the test's", required=False),
        number("detectable", "the smallest effect that so many seeds would have shown (80% power)", "the test's", required=False),
        text("source", "where the paper or its review says so"),
        text("says", "the claim in words"),
    ),
    ("paper", "claim"),
)
PREDICTION = Described(
    "prediction",
    "prediction.csv",
    "For each arm of the imagenet task: what its untrained networks showed, whether they trained, and what a rule fitted on all other "
    "methods says.",
    (
        text("arm", "as in runs.parquet"),
        text("method", "as in runs.parquet"),
        text("model", "the network's family and depth"),
        text("dataset", "as in runs.parquet"),
        whole("seeds", "how many"),
        text("trained", "whether most seeds ended ten points above guessing", words=("True", "False")),
        text("predicted", "what the rule says of it; empty where there was too little to learn from", required=False),
        number("probability", "that it trains, by the rule", required=False),
        number("log10_variance_ratio", "variance of the last block's output over the first's", "decades", required=False),
        number("log10_gradient_ratio", "norm of the gradient at the first block's output over the last's", "decades", required=False),
        number("penultimate_cosine_similarity", "mean cosine between images behind the last activation", required=False),
        number("log10_first_layer_gradient_norm", "norm of the gradient by the first layer's weights", "decades", required=False),
        number("dead_fraction_init", "rectified units that are zero on a whole batch", "fraction", required=False),
        number("speed", "training accuracy, mean over all steps", "%", required=False),
    ),
    ("arm",),
)
CELLS = Described(
    "cells",
    "tables/*/*.csv",
    "A paper's table, one row a cell, published beside measured; the same as Markdown (.md) and LaTeX (.tex) in the paper's shape.",
    (
        text("row", "its title"),
        text("column", "its title"),
        text("metric", "as in runs.parquet"),
        text("published", "the paper's number at its own scale, in the metric's unit, or its words", required=False),
        text("published_kind", "how it was read: verbatim, or off a figure", required=False),
        text("published_source", "where it stands", required=False),
        number("measured", "mean over the seeds that finished; of a sweep, at its best point", OF_THE_METRIC, required=False),
        *INTERVAL,
        whole("n", "seeds that finished"),
        text("status", "measured, diverged, k of n diverged, not run and why, or published only"),
        text("arm", "as in runs.parquet", required=False),
    ),
    ("row", "column"),
)
TABLES = (RUNS, CURVES, PROBES, CLAIMS, PREDICTION, CELLS)
FILES = (
    *TABLES,
    Described("table", "tables/*/*.[mt]*", "A paper's table as Markdown or LaTeX."),
    Described("plan", "plan.json", "What the tier consists of: every arm in full, the papers' names of it, its seeds; hashes of the code."),
    Described("papers", "papers/*", "The papers' files and the published numbers that the runs were judged by."),
    Described("tier", "tier.yaml", "The tier's file: what it affords."),
    Described("report", "report.html", "Everything on one page, which opens without a network."),
    Described("figures", "figures/*", "Every figure, as SVG and PNG; figures.json says what each shows."),
)


def described(path: str) -> Described | None:
    """What a file below results/<tier>/ is; None for one that does not belong there."""
    return next((file for file in FILES if file.matches(path)), None)


def names(file: Described) -> list[str]:
    return [column.name for column in file.columns]


def repeating(file: Described) -> list[str]:
    """The columns in which two runs of the same spec and code agree."""
    return [column.name for column in file.columns if not column.again]


def of_type(file: Described, kind: str) -> Iterable[Column]:
    return (column for column in file.columns if column.type == kind)
