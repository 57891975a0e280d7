"""Private working copies of browser data."""
