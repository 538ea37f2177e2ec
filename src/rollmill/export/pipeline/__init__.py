"""A whole export run: read, filter, redact, cut, mask, write, tell."""
