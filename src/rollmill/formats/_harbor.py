"""A Harbor job folder around a trajectory: the reward and the exception of its trial.

    <job>/result.json                      {"stats":{"evals":{"<eval>":{"reward_stats":{"reward":{"1.0":["<trial>"]}}, …
    <job>/<trial>/result.json              {"task_name":…,"trial_name":…,"verifier_result":{"rewards":{"reward":1.0}}, …
    <job>/<trial>/agent/trajectory.json    a trial of one step
    <job>/<trial>/steps/<step>/agent/…     a trial of several steps

The job's own counts win over the trial's, as in Harbor's ``traces export``: they are what a regraded job rewrites.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollmill.formats import RolloutFile
from rollmill.formats._raw_json import NOT_JSON, plain


def trial_labels(file: RolloutFile) -> dict[str, Any]:
    """``reward``, ``rewards``, ``exception``, ``task_name``, ``trial_name`` (and ``step_name``), as far as known.

    Empty when the file does not lie in a trial's ``agent`` folder."""
    folder = file.path.parent
    if folder.name != "agent":
        return {}
    if folder.parent.parent.name == "steps":
        return _step_labels(file, folder.parent.parent.parent, folder.parent.name)
    trial = folder.parent
    result = _companion(file, trial / "result.json", "result.json")
    labels = _outcome(result) | _names(result)
    _overrule(labels, _companion(file, trial.parent / "result.json"), labels.get("trial_name", trial.name))
    return labels


def _step_labels(file: RolloutFile, trial: Path, step_name: str) -> dict[str, Any]:
    result = _companion(file, trial / "result.json", "result.json")
    steps = [step for step in _list(result, "step_results") if isinstance(step, dict)]
    own = next((step for step in steps if step.get("step_name") == step_name), {})
    return _outcome(own) | _names(result) | {"step_name": step_name}


def _outcome(result: dict[str, Any]) -> dict[str, Any]:
    """A result's reward: ``verifier_result.rewards.reward``, ``verifier_result.reward`` in older ones."""
    verdict = _dict(result, "verifier_result")
    rewards = _dict(verdict, "rewards")
    labels = {
        "reward": rewards.get("reward", verdict.get("reward")),
        "rewards": rewards,
        "exception": _dict(result, "exception_info").get("exception_type"),
    }
    return {key: value for key, value in labels.items() if value not in (None, {})}


def _names(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("task_name", "trial_name") if isinstance(result.get(key), str)}


def _overrule(labels: dict[str, Any], job: dict[str, Any], trial_name: str) -> None:
    """Put in what the job's counts say of this trial."""
    for evaluation in _dict(_dict(job, "stats"), "evals").values():
        if not isinstance(evaluation, dict):
            continue
        for metric, trials_by_value in _dict(evaluation, "reward_stats").items():
            for value in _naming(trials_by_value, trial_name):
                labels["rewards"] = {**labels.get("rewards", {}), metric: _number(value)}
                if metric == "reward":
                    labels["reward"] = _number(value)
        for exception in _naming(evaluation.get("exception_stats"), trial_name):
            labels["exception"] = exception


def _naming(trials_by_value: Any, trial_name: str) -> list[str]:
    """The keys whose lists name the trial."""
    if not isinstance(trials_by_value, dict):
        return []
    return [value for value, trials in trials_by_value.items() if isinstance(trials, list) and trial_name in trials]


def _number(value: str) -> float | str:
    """Rewards are keys there, so text."""
    try:
        number = plain(value)
    except NOT_JSON:
        return value
    return number if isinstance(number, int | float) else value


def _companion(file: RolloutFile, path: Path, missing_name: str | None = None) -> dict[str, Any]:
    data = file.companion(path, missing_name)
    try:
        value = plain(data) if data is not None else {}
    except NOT_JSON:
        return {}
    return value if isinstance(value, dict) else {}


def _dict(value: dict[str, Any], key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _list(value: dict[str, Any], key: str) -> list[Any]:
    found = value.get(key)
    return found if isinstance(found, list) else []
