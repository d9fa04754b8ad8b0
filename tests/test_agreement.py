"""Rank agreement of two tiers: tau and pairs of columns whose order is planted."""

import numpy as np
import pytest
from planted import LOST, a_paper, measured
from scipy.stats import kendalltau

from normbench.analysis import agreement
from normbench.analysis.agreement import agreements
from normbench.planning.pipeline import other_tiers

ARMS = ["a", "b", "c", "d"]


def a_table(arms=ARMS, id_="t", **fields):
    rows = {arm: {"title": arm, "arms": {"only": arm}} for arm in arms}
    return {"id": id_, "title": "A table", "metric": "test_top1", "columns": {"only": {"title": "Only"}}, "rows": rows, **fields}


def compared(here, there, tables=None):
    return agreements([a_paper(ARMS, tables=tables or [a_table()])], measured(here), measured(there))


def counted(one):
    return len(one.told), sum(one.told.values())


def around(*means, spread=0.01):
    return {arm: [mean - spread, mean, mean + spread] for arm, mean in zip(ARMS, means, strict=False)}


def test_tau_is_scipys_and_pairs_count_where_both_tiers_tell_them_apart():
    here, there = (90.0, 80.0, 70.0, 69.99), (60.0, 50.0, 55.0, 10.0)
    (one,) = compared(around(*here), around(*there))
    assert (len(one.arms), one.column, one.table, one.paper) == (4, "Only", "A table", "skipinit")
    assert one.tau.r == pytest.approx(kendalltau(here, there).statistic)
    # c and d are not told apart here, and b and c stand the other way around there
    assert counted(one) == (5, 4)


def test_the_same_order_and_the_reverse():
    same, reverse = compared(around(9, 8, 7), around(90, 50, 10)), compared(around(9, 8, 7), around(10, 50, 90))
    assert [(one.tau.r, *counted(one)) for one in same + reverse] == [(pytest.approx(1), 3, 3), (pytest.approx(-1), 3, 0)]


def test_equal_means_have_no_order():
    (one,) = compared(around(5, 5, 5), around(9, 8, 7))
    assert np.isnan(one.tau.r) and counted(one) == (0, 0)


def test_what_diverges_stands_where_guessing_stands():
    (one,) = compared({**around(90, 80), "c": [LOST] * 3}, around(90, 80, 30))
    assert (len(one.arms), *counted(one)) == (3, 3, 3)


def test_one_seed_tells_nothing_apart():
    (one,) = compared({"a": [90.0], "b": [80.0], "c": [70.0]}, around(90, 80, 70))
    assert (counted(one)[0], one.tau.r) == (0, pytest.approx(1))


def test_two_rows_and_rows_of_one_tier_alone_are_no_column():
    assert compared(around(9, 8), around(9, 8)) == []
    assert compared(around(9, 8, 7), around(9, 8)) == []


def test_a_column_that_stands_in_two_tables_counts_once():
    assert len(compared(around(9, 8, 7), around(9, 8, 7), [a_table(), a_table(id_="again")])) == 1
    assert len(compared(around(9, 8, 7, 6), around(9, 8, 7, 6), [a_table(), a_table(["a", "b", "c"], "part")])) == 2


def test_other_tiers_are_those_that_have_run(tmp_path):
    for tier in ("tiny", "quick", "laptop", "paper"):
        (tmp_path / tier).mkdir()
        for name in ("plan.json", "runs.parquet", "claims.csv"):
            (tmp_path / tier / name).touch()
    (tmp_path / "paper" / "claims.csv").unlink()
    assert [folder.name for folder in other_tiers(tmp_path / "laptop")] == ["quick"]
    assert [folder.name for folder in other_tiers(tmp_path / "quick")] == ["laptop"]


def test_pairs_and_metrics_of_several_columns_count_once_each(tmp_path, monkeypatch):
    """b and c stand in both tables; the same rows by another metric are another comparison."""
    tables = [a_table(), a_table(["b", "c", "d"], "part")]
    paper = a_paper(ARMS, tables=tables)
    monkeypatch.setattr(agreement, "other_tiers", lambda root: [tmp_path / "laptop"])
    monkeypatch.setattr(agreement.Measured, "of_metrics", lambda folder: measured(around(9, 8, 7, 6)))
    (other,) = agreement.compared(tmp_path / "quick", [paper], measured(around(9, 8, 6, 7)))
    assert [counted(one) for one in other.columns] == [(6, 5), (3, 2)]
    assert (other.tier, other.told, other.same) == ("laptop", 6, 5)
