"""Programs that use Ostler."""
