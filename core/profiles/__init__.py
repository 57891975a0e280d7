"""Named profiles: their directories, their locks and their metadata."""
