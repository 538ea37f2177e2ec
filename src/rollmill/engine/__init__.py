"""Running over many files: tasks, worker processes, outputs."""
