"""Child processes: starting, knowing, hearing and ending them."""
