"""Do untrained networks tell which methods train?

    python -m normbench.analysis.prediction --root build/quick --output build/quick/prediction.csv

A row of prediction.csv is an arm: what its untrained networks showed, whether they trained, and what a rule says that
never saw the arm's method. The learning rate is not among what the rule sees: nothing but the untrained network is.
"""

import argparse
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from normbench.analysis.results import TRAINED_BY, guessing, metric_of
from normbench.config.spec import model_label
from normbench.config.tasks import Predictor, read_task, readable_tasks
from normbench.core.command import command
from normbench.core.errors import InputError
from normbench.core.files import whole_file
from normbench.execution.columns import RUNS
from normbench.execution.tables import read_table
from normbench.planning.marks import write_mark

BEFORE, AFTER = ["arm", "method", "model", "dataset", "seeds", "trained"], ["predicted", "probability"]
READ = ["run", "task", "dataset", "model", "method", "arm", "status", "metric", "value"]  # of runs.parquet
FEWEST = 10  # arms of other methods that a rule needs; with fewer a tree of three questions fits anything


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--done", type=Path, help="the mark that says what was made (normbench/planning/marks.py)")
    args = parser.parse_args()
    table = judged(arms(read_runs(args.root)))
    with whole_file(args.output, "w") as file:
        table.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")
    write_mark(args.done, args.root, [args.output])


@cache
def predictors() -> dict[str, Predictor]:
    """The tasks that say which of their metrics predict and which they predict."""
    return {name: found for name in readable_tasks() if (found := read_task(name).predictor)}


@cache
def properties() -> dict[str, str]:
    """Column -> metric of the untrained network, of all predictors; of what spans decades the logarithm is taken."""
    return {column: metric for found in predictors().values() for column, metric in found.properties.items()}


@cache
def columns() -> list[str]:
    """Of prediction.csv."""
    return [*BEFORE, *AFTER, *properties(), "speed"]


def read_runs(root: Path) -> pd.DataFrame:
    """What `arms` reads of runs.parquet: a hundred thousand runs of all tasks need not become objects."""
    runs = read_table(root, RUNS, pl.Categorical).filter(pl.col("task").cast(pl.String).is_in(list(predictors()))).select(READ)
    return runs.with_columns(pl.col(pl.Categorical).cast(pl.String)).to_pandas()


def arms(runs: pd.DataFrame) -> pd.DataFrame:
    """One row an arm of runs.parquet whose task has a predictor, means over seeds, in the order of their ids.

    trained: most seeds ended `TRAINED_BY` points above guessing; a diverged one did not. speed: mean training accuracy over all
    steps in percent, what guessing reaches where a seed diverged. A property is missing where no seed has it: the signal
    overflowed, or a ratio has a zero in it, as gradients behind a classifier that starts at zero do.
    """
    found = [_arms_of(task, mine) for task in predictors() if len(mine := runs[(runs.task == task) & (runs.status != "refused")])]
    if not found:
        return pd.DataFrame(columns=[c for c in columns() if c not in AFTER])
    return pd.concat(found).sort_values("arm", kind="stable", ignore_index=True) if len(found) > 1 else found[0]


def _arms_of(task: str, mine: pd.DataFrame) -> pd.DataFrame:
    """`arms` of one task's runs."""
    predictor = predictors()[task]
    seeds = mine.drop_duplicates("run").set_index("run")[["arm", "method", "model", "dataset", "status"]]
    values = mine.pivot(index="run", columns="metric", values="value").reindex(seeds.index)
    values = values.reindex(columns=[*dict.fromkeys([predictor.accuracy, predictor.speed, *properties().values()])])
    told = metric_of(task, predictor.accuracy)
    guess = seeds.dataset.map({name: guessing(told, task, name) for name in seeds.dataset.unique()})
    finished = seeds.status == "finished"
    seeds["trained"] = (finished & (values[predictor.accuracy] >= guess + TRAINED_BY)).astype(float)
    seeds["speed"] = values[predictor.speed].where(finished, guess)
    for name, metric in properties().items():
        seeds[name] = np.log10(values[metric].where(values[metric] > 0)) if name.startswith("log10_") else values[metric]
    grouped = seeds.groupby("arm", sort=True)
    table = grouped[["method", "model", "dataset"]].first()
    table["model"] = [model_label(json.loads(model)) for model in table.model]
    table["seeds"] = grouped.size()
    table["trained"] = grouped.trained.mean() > 0.5
    return table.join(grouped[[*properties(), "speed"]].mean()).reset_index()


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """`arms` with `probability` (that the arm trains) and `predicted`, each by a rule fitted on all other methods' arms.

    Both stay empty where no property was measured or where the other methods leave nothing to learn from.
    """
    table = table.assign(predicted=pd.Series(pd.NA, table.index, dtype="boolean"), probability=np.nan)
    measured = table[list(properties())].notna().any(axis=1)
    for method in sorted(set(table.method[measured])):
        mine, others = measured & (table.method == method), table[measured & (table.method != method)]
        if len(others) < FEWEST or others.trained.nunique() < 2:
            continue
        table.loc[mine, "probability"] = _probability(others, table[mine])
    known = table.probability.notna()
    table.loc[known, "predicted"] = table.probability[known] >= 0.5
    return table[columns()]


def _probability(others: pd.DataFrame, mine: pd.DataFrame) -> np.ndarray:
    """That `mine` train, by a tree of at most three questions.

    A tree, because a signal may be too large or too small, because the scale of a property then does not matter, and because
    a missing value can be an answer; a person can read it. At least three arms a leaf, so that no single arm makes a rule.
    """
    from sklearn.tree import DecisionTreeClassifier  # slow to import, and figures and the report only read what came of it

    names = [name for name in properties() if others[name].notna().any()]
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=3, class_weight="balanced", random_state=0)
    tree.fit(others[names].to_numpy(float), others.trained.to_numpy(bool))
    return tree.predict_proba(mine[names].to_numpy(float))[:, list(tree.classes_).index(True)]


def read_prediction(path: Path) -> pd.DataFrame:
    """prediction.csv as `judged` made it."""
    try:
        table = pd.read_csv(path, dtype={"predicted": "boolean", "trained": "boolean", "method": str, "arm": str})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is missing or broken ({error}); `snakemake all` writes it again") from error
    return table.astype({"probability": float, "speed": float, **dict.fromkeys(properties(), float)})


if __name__ == "__main__":
    sys.exit(main())
