"""What an operator asks between runs: how it stands, whether the host is well, and what may go."""
