r"""A column of text that a model writes.

    LLMTextColumnConfig(name="summary", model_alias="writer", prompt="{{ messages | window(4000) }}\n\nSum it up.")

The cell is the reply, without white space around it and without a leading ``<think>`` block.
"""

from __future__ import annotations

from typing import Literal

from rollmill.columns._json import without_thinking
from rollmill.columns._llm import Conversation, Failed, LLMColumn, TraceType

__all__ = ["LLMTextColumnConfig", "TraceType"]


class LLMTextColumnConfig(LLMColumn):
    """Text by a model. A reply that is empty or was cut off is a failed cell, not a short text."""

    column_type: Literal["llm-text"] = "llm-text"

    async def _value(self, talk: Conversation, beside: None) -> str:
        reply = await talk.reply()
        if not (text := without_thinking(reply)):
            raise Failed("empty_reply", "the reply holds nothing but thinking", reply)
        return text
