"""Secrets and people's names out of rollouts: ``Redactor``. ``docs/redaction.md`` says what goes and what stays."""

from rollmill.curate.redaction.finding import Finding
from rollmill.curate.redaction.names import PLACEHOLDER
from rollmill.curate.redaction.redactor import POLICY, Place, Redactor, earlier, mark
from rollmill.curate.redaction.search import find

__all__ = ["PLACEHOLDER", "POLICY", "Finding", "Place", "Redactor", "earlier", "find", "mark"]
