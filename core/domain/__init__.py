"""Pure decisions: no I/O, no clock, no randomness, no async. ``now`` and ``jitter`` are arguments."""
