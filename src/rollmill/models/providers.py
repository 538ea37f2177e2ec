"""Which model, at which endpoint, with which key: config, checked before anything is asked.

    ModelProvider(name="lab", endpoint="http://10.0.0.7:8000/v1", api_key="LAB_API_KEY")
    ModelConfig(alias="writer", model="qwen3-32b", provider="lab")

``nvidia``, ``openai``, ``openrouter`` and ``local`` are known by name. ``providers.yaml`` in ``$ROLLMILL_CONFIG_DIR``,
a list of such providers, adds to them or takes their place. A key is given by the name of an environment variable or
literally; a literal one is never written anywhere: not to a file, a log, a message or a repr.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
)

from rollmill.errors import ConfigError
from rollmill.refused import DISTRIBUTIONS

_VARIABLE = re.compile(r"[A-Z]+[0-9]{0,2}(_[A-Z]*[0-9]{0,2})+")
"""How variables of keys are named. Keys have more digits, so an unset variable is told from a literal key."""
_SECRET_HEADER = re.compile(r"auth|key|token|secret|cookie|password", re.IGNORECASE)
_OWN_FIELDS = {"model", "messages", "stream", "response_format"}


class _Config(BaseModel):
    """Unknown fields are refused; a message about a wrong value never repeats it, for it may be a key."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())


def _without_our_fields(extra_body: dict[str, Any] | None) -> dict[str, Any] | None:
    if taken := sorted(_OWN_FIELDS & set(extra_body or ())):
        raise ConfigError(f"extra_body may not set {', '.join(taken)}: Rollmill sends its own; take it out")
    return extra_body


ExtraBody = Annotated[dict[str, Any] | None, AfterValidator(_without_our_fields)]


class ChatCompletionInferenceParams(_Config):
    """How a model is asked. What is None is not sent, so that the server's own default holds."""

    generation_type: Literal["chat-completion"] = "chat-completion"
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature.")
    top_p: float | None = Field(default=None, ge=0, le=1, description="Nucleus sampling probability.")
    max_tokens: int | None = Field(default=None, ge=1, description="The longest reply, in tokens.")
    timeout: float | None = Field(default=None, gt=0, description="Seconds for one attempt; 600 when it is not given.")
    max_parallel_requests: int | None = Field(
        default=None,
        ge=1,
        description="Requests in flight at most. Not given: starts at 8 and grows while nothing is refused.",
    )
    extra_body: ExtraBody = Field(default=None, description="Sent as it is, beside the other parameters.")

    @field_validator("temperature", "top_p", mode="before")
    @classmethod
    def _draw_nothing(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            raise ConfigError(f"no distributions: {DISTRIBUTIONS}")
        return value

    def sent(self) -> dict[str, Any]:
        """The parameters of the request's body: those that were given, and ``extra_body``."""
        own = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        return {name: value for name, value in own.items() if value is not None} | (self.extra_body or {})


class ModelConfig(_Config):
    """A model under the alias that columns use. ``provider`` is a provider's name; None is the first one given."""

    alias: str = Field(min_length=1, description="The name that columns use for it.")
    model: str = Field(min_length=1, description="The name that the server knows it by.")
    provider: str | None = Field(default=None, description="The provider's name.")
    inference_parameters: ChatCompletionInferenceParams = ChatCompletionInferenceParams()
    skip_health_check: bool = Field(
        default=False, description="Whether a run goes on though all of the model's first calls fail."
    )


def _key_text(value: Any) -> Any:
    if not isinstance(value, str | SecretStr):
        return value
    text = (value.get_secret_value() if isinstance(value, SecretStr) else value).strip()
    if not (text.isascii() and (text.isprintable() or not text)):
        raise ConfigError("api_key has characters that no key has; give the key's variable or the key in plain ASCII")
    return text or None


if TYPE_CHECKING:
    Key = SecretStr | str | None
else:
    Key = Annotated[SecretStr | None, BeforeValidator(_key_text)]


class ModelProvider(_Config):
    """An OpenAI-compatible server: its base URL, and the key's variable or the key itself."""

    name: str = Field(min_length=1, description="The name that models use for it.")
    endpoint: str = Field(description="The base URL, with its version: https://…/v1.")
    provider_type: str = Field(default="openai", description="The API that the server speaks; openai is the only one.")
    api_key: Key = Field(
        default=None, description="The name of an environment variable, or the key; a literal key is never written out."
    )
    extra_body: ExtraBody = Field(default=None, description="Sent with every request to this provider.")
    extra_headers: dict[str, str] | None = Field(default=None, repr=False, description="Sent with every request.")

    @field_validator("endpoint")
    @classmethod
    def _base_url(cls, endpoint: str) -> str:
        return _checked_endpoint(endpoint)

    @field_validator("provider_type")
    @classmethod
    def _known_type(cls, provider_type: str) -> str:
        if provider_type.lower() != "openai":
            raise ConfigError(
                f"provider_type {provider_type!r} is not known; servers that speak OpenAI's API are 'openai'"
            )
        return "openai"

    @field_validator("extra_headers")
    @classmethod
    def _one_line_headers(cls, headers: dict[str, str] | None) -> dict[str, str] | None:
        for name, text in (headers or {}).items():
            if not re.fullmatch(r"[A-Za-z0-9-]+", name) or not text.isprintable():
                raise ConfigError("extra_headers must map names of letters, digits and - to one line of text each")
        return headers

    @field_serializer("api_key")
    def _variable_only(self, _: Any) -> str | None:
        return self.key_variable

    @field_serializer("extra_headers")
    def _plain_headers_only(self, headers: dict[str, str] | None) -> dict[str, str] | None:
        return headers and {name: text for name, text in headers.items() if not _SECRET_HEADER.search(name)}

    @property
    def key_variable(self) -> str | None:
        """The environment variable that holds the key; None when the key is literal or there is none."""
        text = self._key_text
        return text if text and (text in os.environ or _VARIABLE.fullmatch(text)) else None

    @property
    def _key_text(self) -> str:
        return self.api_key.get_secret_value() if isinstance(self.api_key, SecretStr) else ""

    def key(self, environ: Mapping[str, str] | None = None) -> str | None:
        """The key itself, for the client only. Raises ``ConfigError`` naming a variable that is not set."""
        if self.api_key is None:
            return None
        if not (variable := self.key_variable):
            return self._key_text
        found = (os.environ if environ is None else environ).get(variable, "").strip()
        if not found:
            raise ConfigError(f"provider {self.name!r} takes its key from ${variable}, which is not set: set it")
        if not (found.isascii() and found.isprintable()):
            raise ConfigError(f"${variable} has characters that no key has; look at how it is set")
        return found


def _checked_endpoint(endpoint: str) -> str:
    """The base URL without a closing slash or ``/chat/completions``. It may hold no password or query."""
    parts = urlsplit(endpoint.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("endpoint must be a base URL such as http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            f"endpoint at {parts.hostname} has a user, query or fragment; put keys into api_key or extra_headers"
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    return f"{parts.scheme}://{parts.netloc}{path}"


KNOWN = (
    ModelProvider(name="nvidia", endpoint="https://integrate.api.nvidia.com/v1", api_key="NVIDIA_API_KEY"),
    ModelProvider(name="openai", endpoint="https://api.openai.com/v1", api_key="OPENAI_API_KEY"),
    ModelProvider(name="openrouter", endpoint="https://openrouter.ai/api/v1", api_key="OPENROUTER_API_KEY"),
    ModelProvider(name="local", endpoint="http://localhost:8000/v1"),
)
"""The providers that need no configuration beyond their key's variable."""


def config_folder(environ: Mapping[str, str] | None = None) -> Path:
    """``$ROLLMILL_CONFIG_DIR``, else Rollmill's folder in the platform's place for users' configuration."""
    environ = os.environ if environ is None else environ
    if given := environ.get("ROLLMILL_CONFIG_DIR"):
        return Path(os.path.expanduser(given))
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "rollmill"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "rollmill"
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "rollmill"


def configured_providers(folder: Path | None = None) -> list[ModelProvider]:
    """The providers of ``providers.yaml``; none when there is no such file."""
    path = (folder or config_folder()) / "providers.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    return _providers_from(text, path)


def _providers_from(text: str, path: Path) -> list[ModelProvider]:
    """What the file lists. No message repeats its text, for it may hold keys."""
    import yaml

    try:
        listed = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path} is no YAML{line}; it must be a list of name, endpoint, api_key") from None
    if not isinstance(listed, list):
        raise ConfigError(f"{path} must be a list of providers, each with name and endpoint")
    return [_provider_from(each, path, number) for number, each in enumerate(listed, start=1)]


def _provider_from(listed: Any, path: Path, number: int) -> ModelProvider:
    try:
        return ModelProvider.model_validate(listed)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ConfigError(f"{path}, provider {number}: {wrong}") from None


def all_providers(given: Sequence[ModelProvider] = (), folder: Path | None = None) -> dict[str, ModelProvider]:
    """Every provider by name, those given to the call first, then those of ``providers.yaml``, then the known ones."""
    return _first_by_name([*given, *configured_providers(folder), *KNOWN])


def _first_by_name(providers: Iterable[ModelProvider]) -> dict[str, ModelProvider]:
    by_name: dict[str, ModelProvider] = {}
    for each in providers:
        by_name.setdefault(each.name, each)
    return by_name


def endpoint_of(model: ModelConfig, providers: Sequence[ModelProvider] = ()) -> ModelProvider:
    """The provider of a model. One that names none gets the first that was given or configured.

    Raises ``ConfigError`` naming the providers there are.
    """
    own = [*providers, *configured_providers()]
    if model.provider is None:
        if own:
            return own[0]
        raise ConfigError(f"model {model.alias!r} names no provider and none is given; known: {_names(KNOWN)}")
    by_name = _first_by_name([*own, *KNOWN])
    if model.provider not in by_name:
        raise ConfigError(
            f"model {model.alias!r} names the provider {model.provider!r}; there are {_names(by_name.values())}"
        )
    return by_name[model.provider]


def _names(providers: Iterable[ModelProvider]) -> str:
    return ", ".join(each.name for each in providers)


def sent_params(model: ModelConfig, provider: ModelProvider) -> dict[str, Any]:
    """What ``Request.params`` holds for a model: its parameters over the provider's ``extra_body``."""
    return (provider.extra_body or {}) | model.inference_parameters.sent()
