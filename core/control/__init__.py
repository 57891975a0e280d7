"""The control socket: what an operator tells a run that is under way."""
