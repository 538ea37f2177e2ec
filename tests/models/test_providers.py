"""Providers, models and keys: names, overrides, and that a literal key is nowhere to be seen."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from rollmill.errors import ConfigError
from rollmill.models import ChatCompletionInferenceParams, ModelConfig, ModelProvider, endpoint_of, sent_params
from rollmill.models.providers import all_providers, config_folder

LITERAL = "sk-proj-4f9A7xQ2Lm0zRtB6cE1y"


def provider(**fields: Any) -> ModelProvider:
    return ModelProvider(**{"name": "lab", "endpoint": "http://lab:8000/v1"} | fields)


def test_a_literal_key_is_never_shown() -> None:
    lab = provider(api_key=LITERAL, extra_headers={"X-Api-Key": LITERAL, "X-Title": "rollmill"})
    shown = [repr(lab), str(lab), lab.model_dump_json(), str(lab.model_dump()), yaml.safe_dump(lab.model_dump())]
    assert not [text for text in shown if LITERAL in text]
    assert lab.key() == LITERAL
    assert json.loads(lab.model_dump_json())["api_key"] is None


def test_a_key_by_variable_is_written_as_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = provider(api_key="LAB_API_KEY")
    monkeypatch.setenv("LAB_API_KEY", LITERAL)
    assert lab.key() == LITERAL
    assert ModelProvider.model_validate_json(lab.model_dump_json()).key() == LITERAL
    assert LITERAL not in repr(lab) + lab.model_dump_json()


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match=r"\$LAB_API_KEY, which is not set"):
        provider(api_key="LAB_API_KEY").key({})


@pytest.mark.parametrize(
    "fields",
    [{"api_kay": LITERAL}, {"api_key": LITERAL + "\nX-Other: 1"}, {"endpoint": f"http://user:{LITERAL}@lab/v1"}],
    ids=["misspelt", "two lines", "in the endpoint"],
)
def test_no_message_about_a_mistake_has_the_key(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as raised:
        provider(**fields)
    assert LITERAL not in str(raised.value) + repr(raised.value)


@pytest.mark.parametrize("endpoint", ["lab:8000", "ftp://lab/v1", "http://lab/v1?key=1", ""])
def test_endpoints_that_are_none(endpoint: str) -> None:
    with pytest.raises(ValidationError):
        provider(endpoint=endpoint)


@pytest.mark.parametrize("endpoint", ["http://lab/v1", "http://lab/v1/", "http://lab/v1/chat/completions"])
def test_one_endpoint_has_one_name(endpoint: str) -> None:
    assert provider(endpoint=endpoint).endpoint == "http://lab/v1"


def test_known_providers_need_no_configuration() -> None:
    assert {"nvidia", "openai", "openrouter", "local"} <= all_providers().keys()
    assert all_providers()["openai"].key_variable == "OPENAI_API_KEY"
    assert all_providers()["local"].key() is None


def test_providers_yaml_adds_and_overrides(config: Path) -> None:
    text = "- {name: lab, endpoint: 'http://lab/v1'}\n- {name: local, endpoint: 'http://localhost:9/v1'}\n"
    (config / "providers.yaml").write_text(text)
    assert all_providers()["local"].endpoint == "http://localhost:9/v1"
    assert endpoint_of(ModelConfig(alias="a", model="m", provider="lab")).endpoint == "http://lab/v1"
    assert endpoint_of(ModelConfig(alias="a", model="m", provider="lab"), [provider()]).endpoint == "http://lab:8000/v1"


@pytest.mark.parametrize(
    "text",
    [f"- {{name: lab, api_key: {LITERAL}}}", f"- name: lab\n  api_key: '{LITERAL}", f"api_key: {LITERAL}", "- 3"],
    ids=["no endpoint", "no YAML", "no list", "no provider"],
)
def test_a_wrong_providers_yaml_is_named_and_not_repeated(config: Path, text: str) -> None:
    (config / "providers.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"providers\.yaml") as raised:
        all_providers()
    assert LITERAL not in str(raised.value)


def test_a_model_without_provider_takes_the_first_given() -> None:
    model = ModelConfig(alias="a", model="m")
    assert endpoint_of(model, [provider(), provider(name="other")]).name == "lab"
    with pytest.raises(ConfigError, match="names no provider"):
        endpoint_of(model)
    with pytest.raises(ConfigError, match=r"'labb'.*lab, nvidia"):
        endpoint_of(ModelConfig(alias="a", model="m", provider="labb"), [provider()])


def test_only_what_was_given_is_sent() -> None:
    params = ChatCompletionInferenceParams(temperature=0.0, timeout=3, max_parallel_requests=4, extra_body={"top_k": 2})
    model = ModelConfig(alias="a", model="m", inference_parameters=params)
    assert sent_params(model, provider(extra_body={"top_k": 1, "seed": 7})) == {
        "temperature": 0.0,
        "top_k": 2,
        "seed": 7,
    }


@pytest.mark.parametrize("name", ["stream", "messages", "model", "response_format"])
def test_extra_body_leaves_our_fields_alone(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        ChatCompletionInferenceParams(extra_body={name: True})
    with pytest.raises(ValidationError, match=name):
        provider(extra_body={name: True})


def test_the_reference_s_config_is_read() -> None:
    text = """{"alias": "a", "model": "m", "provider": "nvidia", "skip_health_check": false, "inference_parameters":
        {"generation_type": "chat-completion", "max_parallel_requests": 4, "timeout": 60, "temperature": 0.7}}"""
    model = ModelConfig.model_validate_json(text)
    assert model.inference_parameters.timeout == 60
    assert ModelConfig.model_validate_json(model.model_dump_json()) == model
    assert pickle.loads(pickle.dumps(model)) == model


def test_the_configuration_folder(config: Path) -> None:
    assert config_folder() == config


@pytest.mark.parametrize("name", ["temperature", "top_p"])
def test_distributions_of_the_reference_are_refused_in_words(name: str) -> None:
    with pytest.raises(ValidationError, match="plain numbers"):
        ChatCompletionInferenceParams(**{name: {"distribution_type": "uniform", "params": {"low": 0, "high": 1}}})
