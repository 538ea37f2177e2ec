"""Work on rows that needs no model: contexts, signals, masks, redaction, tool schemas."""
