"""How long a test waits before it calls a process hung: far longer than a busy machine takes."""

HANG = 300.0  # seconds
