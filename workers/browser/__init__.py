"""Browsers: finding one, opening it in a workspace, and ending it."""
