"""Marks that several kinds of figure share: what they look like, what they are called, how numbers stand on axes."""

from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from normbench.analysis.results import Measured, guessing, metric_of
from normbench.claims.stats import mean_of
from normbench.config.tasks import Metric
from normbench.reporting.plots.style import BLUE, INK, MUTED, PAGE, VERMILLION

SEED = {"marker": "o", "ms": 3.2, "mfc": BLUE, "mec": "none", "alpha": 0.5, "ls": "none", "label": "one seed"}
MEAN = {"marker": "o", "ms": 5.5, "mfc": BLUE, "mec": PAGE, "mew": 0.8, "ls": "none", "label": "mean, 95% interval"}
INTERVAL = {"color": BLUE, "lw": 1.6, "solid_capstyle": "butt"}
PUBLISHED = {"marker": "D", "ms": 5, "mfc": PAGE, "mec": INK, "mew": 1.0, "ls": "none", "label": "published, paper's scale"}
DIVERGED = {"marker": "x", "ms": 5.5, "mec": VERMILLION, "mew": 1.8, "ls": "none", "label": "diverged seeds"}
CHANCE = {"color": MUTED, "lw": 0.9, "ls": (0, (1, 2)), "label": "chance"}
KEY = [Line2D([], [], **look) for look in ({**INTERVAL, **MEAN, "ls": "-"}, SEED, PUBLISHED, DIVERGED, CHANCE)]
QUANTITIES = {
    "variance_init": "variance of the block's output\nbefore training",
    "variance_end": "variance of the block's output\nafter training",
    "dead_fraction_init": "dead units before training\n(fraction)",
    "dead_fraction_end": "dead units after training\n(fraction)",
    "join_parameter_mean": "mean of the learned multipliers",
    "join_parameter_max": "largest learned multiplier\n(absolute value)",
    "weight_norm": "norm of the convolutions' weights",
    "variance": "variance of the block's output",
    "skip_over_branch": "standard deviation of the skip\nover that of the branch (ratio)",
    "cosine_similarity": "mean cosine between the samples\nbehind the block",
    "stable_rank": "stable rank of the batch\nbehind the block",
    "gradient_norm": "norm of the loss's gradient\nat the block's output",
    "penultimate_cosine_similarity": "mean cosine between samples\nbehind the last activation",
    "penultimate_stable_rank": "stable rank of the batch\nbehind the last activation",
    "first_layer_gradient_norm": "norm of the loss's gradient\nby the first layer's weights",
    "gradient_ratio": "gradient at the first block's output\nover that at the last's (ratio of norms)",
    "variance_ratio": "variance of the last block's output\nover that of the first's (ratio)",
    "mean_train_top1": "mean accuracy on the training batches (%)",
}
PLACES = {
    "k": "block k",
    "step": "step",
    "lr": "learning rate",
    "batch_size": "batch size (samples)",
    "pixels": "side (pixels)",
    "params.group_size": "group size (channels)",
    "model.blocks": "depth (blocks)",
    "model.width": "width (channels)",
}


def key(axes: Iterable[Axes]) -> list[Line2D]:
    """What the marks that are drawn there mean, for a figure's heading."""
    drawn = {line.get_label() for ax in axes for line in ax.lines}
    return [handle for handle in KEY if handle.get_label() in drawn]


def named(metric: str, unit: str) -> str:
    """An axis label: test top1 (%)."""
    return metric.replace("_", " ") + (f" ({unit})" if unit and unit not in metric else "")


def quantity_label(quantity: str, metrics: dict[str, Metric]) -> str:
    """An axis label for a probe or a curve."""
    if quantity in metrics:
        return named(quantity, metrics[quantity].unit)
    return QUANTITIES.get(quantity, quantity.replace("_", " "))


def place(along: str) -> str:
    """What a series or a sweep runs along, in words."""
    return PLACES.get(along, along.rpartition(".")[2].replace("_", " "))


def interval(values: list[float]) -> tuple[float, float] | None:
    """The 95% interval of the mean, None with one seed."""
    return mean_of(values).interval if len(values) > 1 else None


def chance_of(measured: Measured, arms: Iterable[str], metric: str) -> float | None:
    """What guessing reaches, where it is one value for all of these arms."""
    specs = [measured.plan.arms[arm] for arm in arms]
    levels = {guessing(metric_of(s.task, metric), s.task, s.dataset) for s in specs}
    return levels.pop() if len(levels) == 1 else None


def view(values: Iterable[float], metric: Metric | None, ends: Iterable[float] = ()) -> tuple[float, float]:
    """Axis limits: all `values` with room around them, and interval `ends` as far as the metric reaches or the values' span goes again."""
    points = [v for v in values if np.isfinite(v)]
    if not points:
        return 0.0, 1.0
    low, high = min(points), max(points)
    span = (high - low) or max(abs(high) * 0.1, 1e-3)
    for end in ends:
        low, high = min(low, max(end, min(points) - span)), max(high, min(end, max(points) + span))
    pad = 0.06 * ((high - low) or span)
    bottom, top = low - pad, high + pad
    if metric is not None:
        reach = 0.02 * (top - bottom)
        bottom = bottom if metric.low is None else max(bottom, metric.low - reach)
        top = top if metric.high is None else min(top, metric.high + reach)
    return bottom, top


def lost_strip(ax: Axes, low: float, vertical: bool) -> None:
    """Shades what the axis has below `low`, room for the seeds that diverged and no part of the scale, and takes its ticks away."""
    axis, span = (ax.yaxis, ax.axhspan) if vertical else (ax.xaxis, ax.axvspan)
    start, end = axis.get_view_interval()
    axis.set_ticks([tick for tick in axis.get_major_locator().tick_values(low, end) if low <= tick <= end])
    if start < low:
        span(start, low, color=MUTED, alpha=0.13, lw=0, zorder=0)


def plain_numbers(axis, log: bool = False, few: int = 5, whole: bool = False) -> None:
    """Ticks as 0.0625, 16 or 1e-06, not as powers; few enough not to touch; `whole`: at whole numbers only."""
    if log:
        axis.set_major_locator(LogLocator(numticks=few + 1))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(few, integer=whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if abs(value) < 1e5 else f"{value:.0e}"))


def swept_ticks(axes: Axes, values: list[float], width: float) -> None:
    """A tick at the swept values, every second or third where their labels would touch. width: of the axes in inches."""
    each = 1 + int(len(values) * 0.48 / width)
    axes.set_xticks(values[::each], [f"{v:g}" for v in values[::each]])
    axes.xaxis.set_minor_locator(NullLocator())
