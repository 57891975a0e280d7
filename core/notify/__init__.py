"""Telling a person who does not look: by a command of theirs, or a server."""
