"""What every worker process needs, imported once in the process they are forked from, so that they share it."""

from __future__ import annotations

import pyarrow as _pyarrow  # noqa: F401

import rollmill.engine.ingest as _ingest  # noqa: F401
import rollmill.formats.claude_code as _claude_code  # noqa: F401
import rollmill.formats.codex as _codex  # noqa: F401
import rollmill.rows as _rows  # noqa: F401
