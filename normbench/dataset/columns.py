"""What every file of the dataset holds, column by column: the only place; card, schemas and checks are made of it. Torch-free.

Runs, curves and probes are described where they are collected.
"""

from normbench.execution.columns import CURVES, OF_THE_METRIC, PROBES, RUNS, Column, Described, number, text, whole
from normbench.reporting.summary import VERDICTS

INTERVAL = (
    number("low", "lower end of the 95% interval", OF_THE_METRIC, required=False),
    number("high", "upper end of the 95% interval", OF_THE_METRIC, required=False),
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
