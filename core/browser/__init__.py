"""What a browser must offer."""
