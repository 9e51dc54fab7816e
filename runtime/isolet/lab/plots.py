"""Pictures of what was measured: latency by percentile, throughput against latency, phases stacked, cost against size.

One style for all: no chart says more than its axes. SVG or PNG, by the file's name; without a display.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidParameter, ToolchainMissing
from .figures import Distribution

FORMATS = ("svg", "png")
# Colours that stay apart for colour-blind eyes. Source: Okabe and Ito's palette.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#000000"),
    *("#00466e", "#8a3d00", "#7fceb8", "#6b6b6b"),  # darker, paler, grey: where there are more than eight
)


def _figure(columns: int = 1, height: float = 4.0) -> tuple[Any, Any]:
    try:
        import matplotlib
    except ImportError:
        raise ToolchainMissing("plots need isolet's extra: pip install 'isolet[bench]'") from None
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.fonttype"] = "none"
    # The same numbers give the same file.
    matplotlib.rcParams["svg.hashsalt"] = "isolet"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=(6.4 * columns, height), layout="constrained")
    for axis in axes if columns > 1 else [axes]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def latencies(named: Mapping[str, Distribution]) -> Any:
    """Left the cumulative distribution, right the percentile curve, which spreads the tail out."""
    figure, (left, right) = _figure(2)
    for (name, times), colour in zip(named.items(), _colours(len(named)), strict=True):
        if not times.count:
            continue
        curve = times.curve()
        left.plot([value for _, value in curve], [percent / 100 for percent, _ in curve], label=name, color=colour)
        tail = [(100 / (100 - percent), value) for percent, value in curve if percent < 100]
        right.plot([nines for nines, _ in tail], [value for _, value in tail], label=name, color=colour)
    left.set(xscale="log", xlabel="latency, µs", ylabel="part of all requests", ylim=(0, 1.01))
    right.set(xscale="log", yscale="log", xlabel="percentile", ylabel="latency, µs")
    ticks = [(1, "0"), (2, "50"), (10, "90"), (100, "99"), (1000, "99.9"), (10000, "99.99")]
    right.set_xticks([nines for nines, _ in ticks], [text for _, text in ticks])
    right.minorticks_off()
    left.legend(frameon=False)
    return figure


def stacked(phases: Mapping[str, float], title: str = "") -> Any:
    """One bar: the median of each phase, in their order."""
    figure, axis = _figure(height=2.4)
    at = 0.0
    for (name, value), colour in zip(phases.items(), _colours(len(phases)), strict=True):
        axis.barh([0], [value], left=[at], color=colour, edgecolor="white", label=f"{name} {value:.1f}")
        at += value
    axis.set(yticks=[], xlabel="µs", title=title)
    axis.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.35), fontsize="small")
    return figure


def throughput(points: Mapping[str, Sequence[tuple[float, float, float]]]) -> Any:
    """(requests a second, p50, p99) of each load: latency against throughput, a line each."""
    figure, axis = _figure()
    for (name, found), colour in zip(points.items(), _colours(len(points)), strict=True):
        rates = [rate for rate, _, _ in found]
        axis.plot(rates, [p50 for _, p50, _ in found], marker="o", color=colour, label=f"{name}, p50")
        axis.plot(rates, [p99 for _, _, p99 in found], marker=".", linestyle="--", color=colour, label=f"{name}, p99")
    axis.set(xlabel="requests a second", ylabel="latency, µs", yscale="log")
    axis.legend(frameon=False)
    return figure


def bars(named: Mapping[str, float], unit: str, title: str = "", digits: int = 0) -> Any:
    """A bar each, the first one ours."""
    figure, axis = _figure(height=0.6 + 0.4 * len(named))
    names = list(named)[::-1]
    axis.barh(names, [named[name] for name in names], color=COLOURS[0])
    for index, name in enumerate(names):
        axis.text(named[name], index, f" {named[name]:,.{digits}f}", va="center")
    axis.set(xlabel=unit, title=title)
    axis.margins(x=0.15)
    return figure


def growth(
    points: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str, fits: Mapping[str, str] | None = None
) -> Any:
    """Cost against size, both logarithmic in x; a fit is said in the legend."""
    figure, axis = _figure()
    for (name, found), colour in zip(points.items(), _colours(len(points)), strict=True):
        label = f"{name}: {fits[name]}" if fits and name in fits else name
        axis.plot([at for at, _ in found], [value for _, value in found], marker="o", color=colour, label=label)
    axis.set(xscale="log", xlabel=x, ylabel=y)
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    return figure


def svg(figure: Any) -> str:
    """For a page: the picture's own markup, without the XML prologue. The figure is closed."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    _close(figure)
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def save(figure: Any, path: Path) -> None:
    """Raises InvalidParameter where the name says no format that is known."""
    require_format(path)
    figure.savefig(path, format=path.suffix[1:], dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    _close(figure)


def require_format(path: Path) -> None:
    if path.suffix[1:] not in FORMATS:
        raise InvalidParameter(f"{path} is neither .svg nor .png; name the plot so")


def _close(figure: Any) -> None:
    from matplotlib import pyplot

    pyplot.close(figure)


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
