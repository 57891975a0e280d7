"""The `ostler` command, the second place that may wire adapters."""
