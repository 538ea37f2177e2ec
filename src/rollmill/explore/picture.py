"""A data set as one picture: its groups as bars, for rows, tokens, tool errors and outcomes.

matplotlib draws it (``pip install rollmill[plot]``), without a screen. What groups are called comes out of rollouts: it
is made visible, shortened, and drawn as it is, never read as matplotlib's markup.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollmill.errors import ConfigError
from rollmill.explore.visible import one_line

if TYPE_CHECKING:
    from rollmill.curate._groups import Group, Stats

SUFFIXES = (".svg", ".png")
SHOWN = 20
LONGEST, SHORTEST = 54, 8
WIDTH = 15.0
_INK, _SOFT, _RULE = "#1d1f21", "#6a6d70", "#dfdfda"
_BLUE, _LIGHT_BLUE, _GREEN, _RED, _GREY = "#1f5a8c", "#a9c8e2", "#4c8c4a", "#b5393f", "#cfcfca"
_FONT = ["DejaVu Sans"]


def check_picture(target: Path | None) -> None:
    """Raise ``ConfigError`` for a picture that cannot be drawn, before anything is read."""
    if target is None:
        return
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"no picture is drawn as {target.suffix!r}; use {' or '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise ConfigError("a picture needs matplotlib, which is not installed; run: pip install 'rollmill[plot]'")


def draw(stats: Stats, target: Path) -> bytes:
    """The picture as the bytes of a file whose name ends like ``target``."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    groups = _shown(stats)
    looks: dict[Any, Any] = {
        "font.family": _FONT,
        "font.size": 9,
        "text.color": _INK,
        "axes.labelcolor": _SOFT,
        "xtick.color": _SOFT,
        "ytick.color": _INK,
        "text.parse_math": False,
        "svg.hashsalt": "rollmill",
    }
    with rc_context(looks), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(WIDTH, 1.9 + 0.36 * max(len(groups), 2)), layout=ConstrainedLayoutEngine(wspace=0.04))
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (title, panel) in zip(panels, _PANELS, strict=True):
            _frame(axes, title)
            panel(axes, groups)
        _name_groups(panels[0], groups)
        figure.suptitle(_title(stats), x=0.01, ha="left", fontsize=12, fontweight="bold")
        return _bytes(figure, target)


def _bytes(figure: Any, target: Path) -> bytes:
    data = io.BytesIO()
    kind = "png" if target.suffix.lower() == ".png" else "svg"
    metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
    figure.savefig(data, format=kind, dpi=144, metadata=metadata, facecolor="white")
    return data.getvalue()


def _shown(stats: Stats) -> list[tuple[str, Group]]:
    """The groups with most rows under their names; those that are too many are in one bar."""
    from rollmill.curate._groups import Group

    groups = stats.groups
    named = [(_name(group), group) for group in groups[: SHOWN if len(groups) > SHOWN + 1 else None]]
    if rest := groups[len(named) :]:
        others = Group(("others",))
        for group in rest:
            others.rows += group.rows
            others.with_human += group.with_human
            others.with_correction += group.with_correction
            for name in ("counts", "tokens", "outcomes", "endings", "last_tests"):
                getattr(others, name).update(getattr(group, name))
        named.append((f"{len(rest):,} other groups", others))
    return named


def _name(group: Group) -> str:
    parts = [one_line(part, 400) for part in group.key]
    return " · ".join(short_name(part, most) for part, most in zip(parts, _shares(parts), strict=True))


def _shares(parts: list[str]) -> list[int]:
    """How long each part of a name may be: the longest gives way until all fit."""
    lengths = list(map(len, parts))
    while sum(lengths) > LONGEST and max(lengths) > SHORTEST:
        lengths[lengths.index(max(lengths))] -= 1
    return lengths


def short_name(name: str, most: int) -> str:
    """The name, a path by its end and anything else by both ends, where names of one kind differ."""
    if len(name) <= most:
        return name
    begin = 0 if "/" in name or "\\" in name else most // 2
    return f"{name[:begin]}…{name[begin + 1 - most :]}"


def _title(stats: Stats) -> str:
    rows, groups = stats.total.rows, len(stats.groups)
    return f"{rows:,} row{'s' * (rows != 1)} by {', '.join(stats.by)} ({groups:,} group{'s' * (groups != 1)})"


def _frame(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, color=_INK)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=_RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(y=0.02)


def _name_groups(axes: Any, groups: list[tuple[str, Group]]) -> None:
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.invert_yaxis()


def _rows(axes: Any, groups: list[tuple[str, Group]]) -> None:
    values = [group.rows for _, group in groups]
    _bars(axes, values, _BLUE)
    _figures(axes, values, [f"{value:,}" for value in values])


def _tokens(axes: Any, groups: list[tuple[str, Group]]) -> None:
    totals = [group.tokens["input_tokens"] for _, group in groups]
    cached = [min(group.tokens["cached_tokens"], total) for (_, group), total in zip(groups, totals, strict=True)]
    outputs = [group.tokens["output_tokens"] for _, group in groups]
    fresh = [total - part for total, part in zip(totals, cached, strict=True)]
    _bars(axes, cached, _LIGHT_BLUE, label="cached input")
    _bars(axes, fresh, _BLUE, left=cached, label="other input")
    _bars(axes, outputs, _GREEN, left=totals, label="output")
    sums = [total + output for total, output in zip(totals, outputs, strict=True)]
    _figures(axes, sums, [_short(value) if value else "not stated" for value in sums])
    _legend(axes, 3)


def _errors(axes: Any, groups: list[tuple[str, Group]]) -> None:
    for place, (_, group) in enumerate(groups):
        found = group.rates()["tool_errors"]
        if found.share is None or found.low is None or found.high is None:
            _note(axes, place, "no calls")
            continue
        axes.plot([100 * found.low, 100 * found.high], [place, place], color=_RED, linewidth=1.6, alpha=0.55)
        axes.plot([100 * found.share], [place], "o", color=_RED, markersize=5)
        text = f"{found.share:.0%} of {found.of:,}"
        axes.annotate(text, (100 * found.high, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    right = max([100 * (group.rates()["tool_errors"].high or 0) for _, group in groups] + [5])
    step = next(step for step in (2, 5, 10, 25, 50) if right <= 4 * step or step == 50)
    axes.set_xlim(0, right * 1.4)
    axes.set_xticks(range(0, round(right) + 1, step), [f"{value} %" for value in range(0, round(right) + 1, step)])


def _outcomes(axes: Any, groups: list[tuple[str, Group]]) -> None:
    left = [0.0] * len(groups)
    for outcome, colour in (("success", _GREEN), ("failure", _RED), ("unknown", _GREY)):
        shares = [100 * group.outcomes[outcome] / max(group.rows, 1) for _, group in groups]
        _bars(axes, shares, colour, left=left, label=outcome)
        left = [before + share for before, share in zip(left, shares, strict=True)]
    for place, (_, group) in enumerate(groups):
        found = group.rates()["success"]
        if found.share is not None and found.low is not None and found.high is not None:
            text = f"{found.share:.0%} of {found.of:,} ({100 * found.low:.0f}–{100 * found.high:.0f})"
            axes.annotate(text, (100, place), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, 165)
    axes.set_xticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    _legend(axes, 3)


Panel = Callable[[Any, "list[tuple[str, Group]]"], None]
_PANELS: tuple[tuple[str, Panel], ...] = (
    ("rows", _rows),
    ("tokens", _tokens),
    ("calls that failed (95 % interval)", _errors),
    ("outcomes (share of success)", _outcomes),
)


def _bars(axes: Any, values: list[Any], colour: str, **options: Any) -> None:
    axes.barh(range(len(values)), values, color=colour, height=0.66, **options)


def _figures(axes: Any, ends: list[int], texts: list[str]) -> None:
    """Figures behind the bars, with room for them."""
    for place, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, max([*ends, 1]) * 1.22)
    axes.xaxis.set_major_formatter(lambda value, _: _short(round(value)))
    axes.locator_params(axis="x", nbins=4, integer=True)


def _note(axes: Any, place: int, text: str) -> None:
    axes.annotate(text, (0, place), (4, 0), textcoords="offset points", va="center", fontsize=8, color=_SOFT)


def _legend(axes: Any, columns: int) -> None:
    """The legend below the axis' figures, as far from them whatever the picture's height."""
    from matplotlib.transforms import ScaledTranslation

    below = axes.transAxes + ScaledTranslation(0, -26 / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=below,
        ncols=columns,
        frameon=False,
        fontsize=8,
        handlelength=1,
        columnspacing=1,
        borderaxespad=0,
    )


def _short(number: int) -> str:
    """``812``, ``54k``, ``1.2M``."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.1f}{unit}" if number < 10 * size else f"{number / size:.0f}{unit}"
    return str(number)
