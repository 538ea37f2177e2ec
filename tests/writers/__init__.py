"""Small writers of the tests' own: Claude Code and Codex logs made from a conversation that is known beforehand.

They follow what the producers do (``docs/formats.md``) and share no code with the parsers. Each writes ``lines`` and
keeps, beside them, what a true reading says (``meant``): the messages in order, the class of every record, the tokens.
"""
