"""What is measured, beside what others have: `make bench`."""
