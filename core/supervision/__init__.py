"""What tells whoever keeps the orchestrator running that it runs: a service manager, and a file that others look at."""
