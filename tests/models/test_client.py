"""The client against a real server: what is sent, what is read, and what each failure is called."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from rollmill.models import ModelConfig, ModelError, ModelProvider, Reply, Usage, open_model
from rollmill.models import client as client_module
from rollmill.models.client import OpenAICompatible, response_format
from rollmill.models.refusals import retry_after
from rollmill.models.replies import reply_of
from tests.models.asking import ask, each, failed, only, request, within
from tests.models.server import Answer, ModelServer, prompt_of

KEY = "sk-test-0123456789abcdef"
SCHEMA = {
    "title": "Digest of it",
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def client(server: ModelServer, key: str | None = None) -> OpenAICompatible:
    return OpenAICompatible(server.endpoint, key)


def test_a_request_and_its_reply() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    with ModelServer(Answer("4", usage=usage, reasoning="2 + 2", finish_reason="length")) as server:
        reply = only(ask(lambda: client(server, KEY), request(params={"temperature": 0.5, "top_k": 3}, row_key="a")))
    assert reply.text == "4" and reply.finish_reason == "length" and reply.reasoning == "2 + 2"
    assert reply.usage == Usage(input_tokens=9, cached_tokens=8, output_tokens=5, reasoning_tokens=3)
    assert reply.model == "toy" and not reply.from_journal and reply.seconds > 0
    [asked] = server.requests
    messages = [{"role": "user", "content": "2 + 2"}]
    assert asked.body == {"model": "toy", "messages": messages, "temperature": 0.5, "top_k": 3}
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


def test_connections_are_reused() -> None:
    with ModelServer() as server:
        asked = [request(str(number)) for number in range(5)]
        found = within(one_by_one(client(server), asked))
        ports = {each.port for each in server.requests}
    assert len(found) == 5 and len(ports) == 1


async def one_by_one(model: OpenAICompatible, requests: list[Any]) -> list[Reply]:
    found = [await model.complete(each) for each in requests]
    await model.close()
    return found


@pytest.mark.parametrize(
    ("answer", "kind", "retryable", "fatal", "says"),
    [
        (Answer(status=400, error="context too long"), "bad_request", False, False, "context too long"),
        (Answer(status=401, error=f"wrong key {KEY}"), "unauthorized", False, True, "give a valid one"),
        (Answer(status=402, error="pay"), "no_credit", False, True, "Top it up"),
        (Answer(status=403, error="no"), "forbidden", False, False, "403"),
        (Answer(status=404, error="no model"), "not_found", False, False, "no model 'toy'"),
        (Answer(status=408), "timeout", True, False, "408"),
        (Answer(status=409), "server", True, False, "409"),
        (Answer(status=422, error="temperature"), "bad_request", False, False, "temperature"),
        (Answer(status=429, error="insufficient_quota: pay"), "no_credit", False, True, "no credit"),
        (Answer(status=429), "throttled", True, False, "busy"),
        (Answer(status=500, error=f"crash with {KEY}"), "server", True, False, "500"),
        (Answer(status=502, raw=b"<html>\x1b[31mbad gateway</html>"), "server", True, False, "bad gateway"),
        (Answer(status=503), "throttled", True, False, "busy"),
        (
            Answer(status=307, headers={"Location": "http://elsewhere/v1?key=1"}),
            "redirect",
            False,
            True,
            "elsewhere/v1;",
        ),
        (Answer(raw=b"not json at all"), "bad_reply", True, False, "no chat completion"),
        (Answer(raw=b"{}"), "bad_reply", True, False, "no choices"),
        (Answer(raw=b'{"choices": []}'), "bad_reply", True, False, "no choices"),
        (Answer(raw=b'{"choices": [{"message": 3}]}'), "bad_reply", True, False, "no chat completion"),
        (Answer(raw=b'{"choices": [{"message": {"content": "\xff"}}]}'), "bad_reply", True, False, "no chat"),
        (Answer(raw=b'{"error": {"code": 429, "message": "slow"}}'), "throttled", True, False, "slow"),
        (Answer(raw=b'{"error": {"code": 502, "message": "gone"}}'), "upstream", True, False, "gone"),
        (Answer(reset=True), "reset", True, False, "broke off"),
        (Answer(half=True), "reset", True, False, "broke off"),
    ],
    ids=lambda value: (
        str(value.status if value.status != 200 else value.raw or value) if isinstance(value, Answer) else ""
    ),
)
def test_each_failure_has_its_name(answer: Answer, kind: str, retryable: bool, fatal: bool, says: str) -> None:
    with ModelServer(answer) as server:
        error = failed(ask(lambda: client(server, KEY), request()))
        assert len(server.requests) == 1, "the client itself asks once"
    assert (error.kind, error.retryable, error.fatal) == (kind, retryable, fatal), error.text
    assert says in error.text and KEY not in error.text and "\x1b" not in error.text


def test_a_refused_connection_names_the_endpoint() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    error = failed(ask(lambda: OpenAICompatible(endpoint), request()))
    assert error.kind == "connection" and endpoint in error.text and "is the server running" in error.text


@pytest.mark.parametrize("answer", [Answer(latency=5.0), Answer("x" * 100, slow=10.0)], ids=["late", "slow body"])
def test_the_timeout_is_for_the_whole_answer(answer: Answer) -> None:
    with ModelServer(answer) as server:
        error = failed(ask(lambda: client(server), request(timeout=0.3)))
    assert error.kind == "timeout" and "0.3 s" in error.text


def test_a_reply_may_not_be_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LARGEST_REPLY", 1 << 20)
    with ModelServer(Answer("x" * (2 << 20))) as server:
        error = failed(ask(lambda: client(server), request()))
    assert error.kind == "huge_reply" and "1 MiB" in error.text


def test_a_big_body_is_let_go_when_it_is_read_through() -> None:
    body = client_module._Body(b"x" * 100_000)
    assert [len(body.read(65_536)), body.getbuffer().nbytes] == [65_536, 100_000]
    assert [len(body.read(65_536)), body.getbuffer().nbytes, body.read(65_536)] == [34_464, 0, b""]


def test_a_big_prompt_arrives_whole() -> None:
    text = "ü" * 3_000_000
    with ModelServer(lambda body: str(len(prompt_of(body)))) as server:
        assert only(ask(lambda: client(server), request(text))).text == "3000000"


def test_a_lone_surrogate_is_sent_as_a_question_mark() -> None:
    with ModelServer(prompt_of) as server:
        assert only(ask(lambda: client(server), request("a\ud800b"))).text == "a?b"


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with ModelServer("4") as server:
        assert only(ask(lambda: client(server), request())).text == "4"


def test_content_in_parts_and_a_refusal() -> None:
    parts = b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "x"}, "b"]}}]}'
    assert reply_of(parts, 0).text == "a"
    refused = reply_of(b'{"choices": [{"message": {"content": null, "refusal": "no"}, "finish_reason": "stop"}]}', 0)
    assert (refused.text, refused.finish_reason) == ("no", "refusal")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("99999999", 3600.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}, now=1445412480.0) == seconds


@pytest.mark.parametrize(
    ("provider", "fix"),
    [
        ({}, "--api-key-variable, or as api_key of the ModelProvider or in providers.yaml"),
        ({"api_key": "TEST_API_KEY"}, "$TEST_API_KEY (401): set that variable"),
    ],
)
def test_a_wrong_key_s_message_says_where_to_give_a_right_one(
    provider: dict[str, Any], fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_API_KEY", "wrong")
    with ModelServer(key=KEY) as server:
        given = ModelProvider(name="test", endpoint=server.endpoint, **provider)
        error = failed(ask(lambda: open_model(ModelConfig(alias="a", model="toy"), given), request()))
    assert fix in error.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_refused_connection_is_told_in_the_system_s_words(host: str) -> None:
    with ModelServer() as server:
        port = server.port
    error = failed(ask(lambda: OpenAICompatible(f"http://{host}:{port}/v1"), request()))
    assert "cannot be reached (Connection refused); is the server running" in error.text


class TestSchemas:
    """``response_format`` where the server takes it, the prompt where it does not."""

    def test_a_server_that_takes_it(self) -> None:
        with ModelServer({"n": 4}) as server:
            ask(lambda: client(server), request(schema=SCHEMA))
        [asked] = server.requests
        named = {"name": "Digest_of_it", "schema": SCHEMA, "strict": True}
        assert asked.body["response_format"] == {"type": "json_schema", "json_schema": named}
        assert prompt_of(asked.body) == "2 + 2"

    def test_a_server_that_does_not_is_asked_once(self) -> None:
        with ModelServer({"n": 4}, takes_format=False) as server:
            requests = [request(str(number), schema=SCHEMA) for number in range(3)]
            within(one_by_one(client(server), [*requests, request("3", schema={"type": "array"})]))
        assert [each.status for each in server.requests] == [400, 200, 200, 200, 200]
        last = server.requests[-1].body
        assert "response_format" not in last and '{"type":"array"}' in prompt_of(last) and prompt_of(last)[0] == "3"

    def test_a_schema_that_is_refused_says_nothing_of_others(self) -> None:
        def reply(body: dict[str, Any]) -> Answer:
            bad = "response_format" in body and body["response_format"]["json_schema"]["schema"] == {"type": "array"}
            return Answer(status=400, error="Invalid schema for response_format") if bad else Answer('{"n": 4}')

        with ModelServer(reply) as server:
            schemas: list[dict[str, Any]] = [SCHEMA, {"type": "array"}, SCHEMA]
            within(one_by_one(client(server), [request(schema=schema) for schema in schemas]))
        assert ["response_format" in each.body for each in server.requests] == [True, True, False, True]

    def test_another_400_is_none_of_its_business(self) -> None:
        with ModelServer(Answer(status=400, error="context too long")) as server:
            assert failed(ask(lambda: client(server), request(schema=SCHEMA))).kind == "bad_request"
        assert len(server.requests) == 1

    def test_a_server_that_ignores_it_is_told_in_the_prompt_too(self) -> None:
        with ModelServer("Sure! It is four.") as server:
            within(one_by_one(client(server), [request(schema=SCHEMA)] * 2))
        assert "JSON schema" not in prompt_of(server.requests[0].body)
        assert "JSON schema" in prompt_of(server.requests[1].body)

    def test_strict_is_for_schemas_that_allow_it(self) -> None:
        open_one = {"type": "object", "properties": {"a": {"type": "string"}}}
        assert response_format(SCHEMA)["json_schema"]["strict"] is True
        assert "strict" not in response_format(open_one)["json_schema"]
        assert "strict" not in response_format({"type": "array", "items": open_one})["json_schema"]


class TestOpened:
    """``open_model``: the parts put together."""

    def test_models_of_one_endpoint_share_its_gate(self) -> None:
        async def run(server: ModelServer) -> tuple[bool, bool, int]:
            lab = ModelProvider(name="lab", endpoint=server.endpoint)
            other = ModelProvider(name="other", endpoint=server.endpoint, api_key=KEY)
            few = {"max_parallel_requests": 2}
            one = open_model(ModelConfig(alias="a", model="m", inference_parameters=few), lab)  # type: ignore[arg-type]
            two = open_model(ModelConfig(alias="b", model="n"), lab)
            three = open_model(ModelConfig(alias="c", model="n"), other)
            await one.close()
            await one.close()
            await each(two, [request(str(number)) for number in range(20)])
            await two.close()
            await three.close()
            return one.gate is two.gate, two.gate is three.gate, server.most_at_once

        with ModelServer(latency=0.02) as server:
            shared, mixed, at_once = within(run(server))
        assert shared and not mixed and at_once >= 8

    def test_a_model_keeps_to_its_own_number_of_places(self) -> None:
        async def run(server: ModelServer) -> None:
            lab = ModelProvider(name="lab", endpoint=server.endpoint)
            models = [
                open_model(ModelConfig.model_validate({"alias": "a", "model": "m", "inference_parameters": given}), lab)
                for given in ({"max_parallel_requests": 2}, {"max_parallel_requests": 16})
            ]
            await each(models[0], [request(str(number)) for number in range(10)])
            assert server.most_at_once == 2
            await each(models[1], [request(str(number)) for number in range(40)])
            assert server.most_at_once == 16
            for model in models:
                await model.close()

        with ModelServer(latency=0.02) as server:
            within(run(server))

    def test_the_message_for_a_wrong_key_names_its_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LAB_API_KEY", "wrong-key-0123456789")

        async def run(server: ModelServer) -> ModelError:
            lab = ModelProvider(name="lab", endpoint=server.endpoint, api_key="LAB_API_KEY")
            model = open_model(ModelConfig(alias="a", model="m"), lab)
            found = await each(model, [request(str(number)) for number in range(20)])
            await model.close()
            assert {getattr(one, "kind", "") for one in found} == {"unauthorized"}
            return failed(found[:1])

        with ModelServer(key="right") as server:
            error = within(run(server))
        assert "$LAB_API_KEY" in error.text and "wrong-key" not in error.text and error.fatal
        assert len(server.requests) <= 8
