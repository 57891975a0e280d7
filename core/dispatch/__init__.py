"""The engine of ``orchestrator.py``: slot, claim, supervise, complete. It sees ports, never adapters."""
