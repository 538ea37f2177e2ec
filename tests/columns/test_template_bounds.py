"""What a template may not do, whoever wrote it: fill the memory, run on, reach what is no data. Each is refused."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollmill.columns.templates import TemplateError, compile_template

GROW = "{% set n = namespace(s=START) %}{% for i in range(60) %}{% set n.s = STEP %}{% endfor %}{{ n.s | length }}"


def growing(start: str, step: str) -> str:
    return GROW.replace("START", start).replace("STEP", step)


BOMBS = {
    "range": "{% for i in range(10**9) %}{{ i }}{% endfor %}",
    "empty loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a long constant in a loop": "{% for i in range(99999) %}" + "y" * 1000 + "{% endfor %}",
    "the same, captured": "{% set x %}{% for i in range(99999) %}" + "y" * 1000 + "{% endfor %}{% endset %}",
    "output in a loop": "{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
    "text times a number": "{{ 'a' * 10**9 }}",
    "a number times text": "{{ 10**9 * 'a' }}",
    "list times a number": "{{ [1] * 10**9 }}",
    "power": "{{ 10 ** (10 ** 10) }}",
    "power of a power": "{{ ((9 ** 6000) ** 6000) ** 6000 > 1 }}",
    "doubled by +": growing("'aaaaaaaa'", "n.s + n.s"),
    "doubled by ~": growing("'aaaaaaaa'", "n.s ~ n.s"),
    "doubled lists": growing("[1]", "n.s + n.s"),
    "lists within lists": growing("[1]", "[n.s, n.s]"),
    "tuples within tuples": growing("1", "(n.s, n.s)"),
    "mappings within mappings": growing("{}", "{'a': n.s, 'b': n.s}"),
    "dict()": growing("{}", "dict(a=n.s, b=n.s)"),
    "doubled by a block": "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}{% set x %}{{ n.s }}{{ n.s }}"
    "{% endset %}{% set n.s = x %}{% endfor %}{{ n.s | length }}",
    "a macro that calls itself": "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}"
    "{{ f(100) }}",
    "a recursive loop": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "many slow steps": "{% for i in range(99999) %}{{ ('ab ' * 1000000) | title | length }}{% endfor %}",
    "replace by method": "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "replace by filter": "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "replace of nothing": "{{ ('a' * 100000) | replace('', 'b' * 100000) }}",
    "join by filter": "{{ range(99999) | join('b' * 100000) }}",
    "join by method": "{{ ('b' * 100000).join(range(99999) | map('string')) }}",
    "indent by width": "{{ ('a\n' * 100000) | indent(10**9) }}",
    "indent by text": "{{ ('a\n' * 100000) | indent('x' * 100000) }}",
    "round": "{{ 1.5 | round(10**9) }}",
    "batch": "{{ [1] | batch(10**9, 1) | list }}",
    "center": "{{ 'a' | center(10**9) }}",
    "ljust": "{{ 'a'.ljust(10**9) }}",
    "zfill": "{{ 'a'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "format width": "{{ '%1000000000d' | format(1) }}",
    "format width from outside": "{{ '%*d' | format(10**9, 1) }}",
    "format by %": "{{ '%1000000000d' % 1 }}",
    "to_bytes": "{{ (1).to_bytes(10**9) }}",
    "deep brackets": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep lists": "{{ " + "[" * 5000 + "]" * 5000 + " }}",
    "deep signs": "{{ " + "-" * 50000 + "1 }}",
    "deep ifs": "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "a template without end": "x" * 1_000_001,
}
ESCAPES = {
    "class": "{{ ''.__class__.__mro__ }}",
    "class by item": "{{ ''['__class__'] }}",
    "class by a built name": "{{ text['__cl' ~ 'ass__'] }}",
    "class by attr": "{{ '' | attr('__class__') }}",
    "class by map": "{{ [''] | map(attribute='__class__') | list }}",
    "class by groupby": "{{ [''] | groupby('__class__') }}",
    "class by sort": "{{ ['', 'a'] | sort(attribute='__class__') }}",
    "format": "{{ '{0.__class__}'.format(text) }}",
    "format by item": "{{ ''['format']('x') }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "globals of a function": "{{ range.__globals__ }}",
    "globals of a filter": "{{ (['a'] | map('upper')).gi_frame }}",
    "the template itself": "{{ self._TemplateReference__context }}",
    "printing the template": "{{ self }}",
    "a lambda's code": "{{ 'a'.join.__code__ }}",
    "cycler": "{{ cycler.__init__.__globals__ }}",
    "lipsum": "{{ lipsum(n=10**9) }}",
    "include": "{% include '/etc/hostname' %}",
    "import": "{% import 'x' as x %}",
    "from": "{% from 'x' import y %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block a %}{{ self.a() }}{% endblock %}",
    "autoescape": "{% autoescape true %}{{ text }}{% endautoescape %}",
    "our own counting": "{{ text | _each(-1000000) }}",
    "changing a value": "{{ rows.append(1) }}",
    "clearing a value": "{{ values.clear() }}",
    "a namespace's insides": "{{ namespace(a=1)._Namespace__attrs }}",
    "encode": "{{ 'a'.encode('utf-8') }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str) -> None:
    began = time.thread_time()
    with pytest.raises(TemplateError):
        compile_template(BOMBS[name]).render({})
    # What one may take is 3 seconds of its own; a step that was begun is ended.
    assert time.thread_time() - began < 8


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_are_refused(name: str) -> None:
    row = {"text": "abc", "rows": [1], "values": {"a": 1}}
    with pytest.raises(TemplateError):
        compile_template(ESCAPES[name]).render(row)
    assert row == {"text": "abc", "rows": [1], "values": {"a": 1}}


def test_bombs_take_little_memory() -> None:
    """All of them together, in a process that may have a gigabyte."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from rollmill.columns.templates import TemplateError, compile_template
from tests.columns.test_template_bounds import BOMBS
for name, text in BOMBS.items():
    if name == "many slow steps":
        continue
    try:
        compile_template(text).render({})
    except TemplateError:
        continue
    raise SystemExit(f"{name} was not refused")
"""
    if sys.platform != "linux":
        pytest.skip("limits of memory are Linux's")
    ran = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert ran.returncode == 0, ran.stderr[-2000:]


PIECES = st.sampled_from(
    "{{ }} {% %} for in if endfor set x y messages [ ] ( ) . , | ~ + * ** 9 'a' range(9) namespace(a=1) window join "
    "__class__ format { } : loop.index macro endmacro f( text == not and is defined -".split()
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map(" ".join))
def test_any_template_renders_or_is_refused(text: str) -> None:
    try:
        assert isinstance(compile_template(text).render({"x": "a", "y": [1], "messages": [], "text": "b"}), str)
    except TemplateError as error:
        assert str(error)
