"""What runs inside one worker process."""
