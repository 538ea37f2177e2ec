"""``DataDesigner``: columns over seed rows, looked at first and then made for good.

    designer = DataDesigner(artifact_path="artifacts")
    designer.preview(builder).display_sample_record()
    results = designer.create(builder, num_records=None, dataset_name="goals")
    results.load_dataset()

Text that goes to an endpoint on another machine goes without secrets, unless ``send_unredacted`` says otherwise.
"""

from __future__ import annotations

import ipaddress
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from rollmill.columns._tokenizer import counted_by, local_tokenizer
from rollmill.config import DataDesignerConfig, DataDesignerConfigBuilder, ResumeMode
from rollmill.engine.log import logged_progress, show_log
from rollmill.engine.loops import beside
from rollmill.engine.plan import Plan, make_plan
from rollmill.engine.progress import Progress
from rollmill.engine.run import Settings, create, preview, raise_if_stopped
from rollmill.engine.seedrows import Seed, columns_unread, open_seed
from rollmill.engine.shelves import seed_types, table_of
from rollmill.engine.store import RunFolder, new_folder
from rollmill.errors import ConfigError, RollmillError
from rollmill.models.providers import ModelProvider
from rollmill.refused import OfTheReference, refuse_arguments
from rollmill.results import ArtifactStorage, DatasetCreationResults, PreviewResults
from rollmill.seeds.reader import SecretResolver, SeedReader
from rollmill.seeds.selection import SamplingStrategy, SeedConfig

Configuration = DataDesignerConfig | DataDesignerConfigBuilder


class DataDesigner(OfTheReference):
    """Makes data sets below ``artifact_path`` (``artifacts`` in the current folder unless it is given).

    ``model_providers`` come before those of ``providers.yaml`` and those known by name; ``seed_readers`` read seeds of
    your own kinds; ``secret_resolver`` turns the names of keys into keys, instead of environment variables.
    ``auto_configure_logging`` shows on stderr how a run goes, unless the program has set up logging itself.
    """

    def __init__(
        self,
        artifact_path: str | os.PathLike[str] | None = None,
        *,
        model_providers: Sequence[ModelProvider] | None = None,
        seed_readers: Sequence[SeedReader[Any]] | None = None,
        secret_resolver: SecretResolver | None = None,
        send_unredacted: bool = False,
        auto_configure_logging: bool = True,
        **of_the_reference: Any,
    ) -> None:
        refuse_arguments("DataDesigner", of_the_reference)
        if auto_configure_logging:
            show_log()
        self.artifact_path = Path(artifact_path or "artifacts")
        self._providers = tuple(model_providers or ())
        self._readers = tuple(seed_readers or ())
        self._secrets = secret_resolver
        self._unredacted = send_unredacted

    def validate(self, config_builder: Configuration) -> None:
        """Nothing for a configuration that can be run. Raises ``ConfigError`` with every mistake in it otherwise; no
        rollout is opened and nothing is asked."""
        self.plan(_config(config_builder))

    def preview(
        self,
        config_builder: Configuration,
        *,
        num_records: int | None = 10,
        max_cost: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> PreviewResults:
        """A few rows in memory, each row of the seed once at most. Nothing is written, and what is asked is asked again
        by ``create``."""
        _check_number(num_records)
        plan, seed = self.plan(_config(config_builder))
        settings = Settings(num_records, max_cost, _redactor, progress or logged_progress(), once=True)
        with counted_by(plan.config.tokenizer):
            filled, summary = preview(plan, seed, settings)
        raise_if_stopped(summary, "Nothing was kept: it was a preview.")
        problems = [(number, problem) for number, row in enumerate(filled) for problem in row.problems]
        return PreviewResults(table_of(plan, seed, filled, seed_types(seed)), summary, plan, problems)

    def create(
        self,
        config_builder: Configuration,
        *,
        num_records: int | None = 10,
        dataset_name: str = "dataset",
        resume: ResumeMode | str = ResumeMode.IF_POSSIBLE,
        artifact_path: str | os.PathLike[str] | None = None,
        max_cost: float | None = None,
        progress: Callable[[Progress], None] | None = None,
        **of_the_reference: Any,
    ) -> DatasetCreationResults:
        """The data set in ``artifact_path/dataset_name``; ``num_records=None`` takes every seed row once.

        In a folder that is there already, what is unchanged stays and nothing that was answered is asked again;
        ``resume="never"`` takes a new folder. Raises ``RollmillError`` when a model's error stopped the run,
        ``KeyboardInterrupt`` after Ctrl-C: the same call goes on where it stopped. ``progress`` is called with how far
        the run is; without it the logger ``rollmill`` says so now and then.
        """
        refuse_arguments("create", of_the_reference)
        results = self.run(
            config_builder,
            num_records=num_records,
            dataset_name=dataset_name,
            resume=resume,
            artifact_path=artifact_path,
            max_cost=max_cost,
            progress=progress,
        )
        raise_if_stopped(results.summary, "Run the same again to go on: nothing that was answered is asked twice.")
        return results

    async def acreate(self, config_builder: Configuration, **options: Any) -> DatasetCreationResults:
        """``create`` in a thread of its own, so that other tasks go on meanwhile. Cancelled, it stops as with Ctrl-C:
        what is in flight is finished and kept, and running again goes on from there."""
        return await beside(partial(self.create, config_builder, **options))

    def run(
        self,
        config_builder: Configuration,
        *,
        num_records: int | None = 10,
        dataset_name: str = "dataset",
        resume: ResumeMode | str = ResumeMode.IF_POSSIBLE,
        artifact_path: str | os.PathLike[str] | None = None,
        max_cost: float | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> DatasetCreationResults:
        """Like ``create``, but a run that was stopped comes back too: ``results.summary.status`` says how it ended."""
        _check_number(num_records)
        path = self._folder(dataset_name, ResumeMode(resume), artifact_path)
        config = _with_seed_number(_config(config_builder), RunFolder(path).config_text())
        plan, seed = self.plan(config)
        settings = Settings(num_records, max_cost, _redactor, progress or logged_progress())
        with RunFolder(path) as folder, counted_by(plan.config.tokenizer):
            summary = create(plan, seed, folder, settings)
        return DatasetCreationResults(path, summary, plan)

    def plan(self, config: DataDesignerConfig) -> tuple[Plan, Seed]:
        """The checked plan of a configuration, and its seed, of which nothing is read yet."""
        mistakes: list[str] = []
        seed = self._seed(config, mistakes)
        counted = _digest_of_tokenizer(config, mistakes)
        plan = make_plan(
            config,
            seed.columns if seed is not None else columns_unread(config),
            self._providers,
            policy=self._policy,
            keys=self._with_key,
            mistakes=mistakes,
        )
        assert seed is not None
        return _with_digest(plan, counted), seed

    def _seed(self, config: DataDesignerConfig, mistakes: list[str]) -> Seed | None:
        """The seed, its manifest built, None when it cannot be opened; what is wrong is added to ``mistakes``."""
        try:
            seed = open_seed(config, self._readers, self._secrets)
        except RollmillError as error:
            mistakes.append(str(error))
            return None
        for check in (partial(_check_selection, config, seed), seed.check_where):
            try:
                check()
            except RollmillError as error:
                mistakes.append(str(error))
        return seed

    def _policy(self, endpoint: str) -> str:
        from rollmill.curate.redaction import POLICY

        return "" if self._unredacted or is_loopback(endpoint) else POLICY

    def _with_key(self, provider: ModelProvider) -> ModelProvider:
        if self._secrets is None or provider.api_key is None:
            return provider
        named = provider.api_key
        key = self._secrets.resolve(named.get_secret_value() if isinstance(named, SecretStr) else named)
        return provider.model_copy(update={"api_key": SecretStr(key)})

    def _folder(self, name: str, resume: ResumeMode, artifact_path: str | os.PathLike[str] | None) -> Path:
        if not name or name in (".", "..") or "/" in name or "\\" in name or not name.isprintable():
            raise ConfigError(f"dataset_name {name!r} is no name of a folder; its place is artifact_path")
        path = Path(os.path.expanduser(artifact_path or self.artifact_path)) / name
        return new_folder(path) if resume is ResumeMode.NEVER else path


def is_loopback(endpoint: str) -> bool:
    """Whether the endpoint is on this machine, by its address or as ``localhost``."""
    host = urlsplit(endpoint).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _redactor() -> Callable[[str], str]:
    from rollmill.curate.redaction import Redactor

    return Redactor().text


def _config(given: Configuration) -> DataDesignerConfig:
    return given.build() if isinstance(given, DataDesignerConfigBuilder) else given


def _check_selection(config: DataDesignerConfig, seed: Seed) -> None:
    size = seed.manifest_size()
    if config.seed_config is not None:
        config.seed_config.index_range(size)


def _check_number(num_records: int | None) -> None:
    if num_records is not None and num_records < 1:
        raise ConfigError(f"num_records is {num_records}; give at least 1, or None for every row of the seed once")


def _digest_of_tokenizer(config: DataDesignerConfig, mistakes: list[str]) -> str:
    """The digest of the configuration's tokenizer, empty without one; what is wrong with it goes to ``mistakes``."""
    try:
        return local_tokenizer(config.tokenizer).digest if config.tokenizer is not None else ""
    except ConfigError as error:
        mistakes.append(str(error))
        return ""


def _with_digest(plan: Plan, digest: str) -> Plan:
    """The plan, with the tokenizer in its hash: prompts with a window in them follow from it, and so do parts."""
    return replace(plan, hash=sha256(f"{plan.hash} {digest}".encode()).hexdigest()) if digest else plan


def _with_seed_number(config: DataDesignerConfig, before: str | None) -> DataDesignerConfig:
    """The configuration with a number for its shuffle, that of the run before when it had drawn one: a run that goes
    on must go on in the same order."""
    seed = config.seed_config
    if seed is None or seed.seed is not None or seed.sampling_strategy is not SamplingStrategy.SHUFFLE:
        return config
    number = _number_before(before)
    drawn = number if number is not None else random.SystemRandom().randrange(1 << 32)
    return config.model_copy(update={"seed_config": seed.model_copy(update={"seed": drawn})})


def _number_before(text: str | None) -> int | None:
    try:
        seed = DataDesignerConfig.from_yaml(text).seed_config if text else None
    except ConfigError:
        return None
    return seed.seed if isinstance(seed, SeedConfig) else None


__all__ = [
    "ArtifactStorage",
    "DataDesigner",
    "DatasetCreationResults",
    "PreviewResults",
    "ResumeMode",
    "is_loopback",
]
