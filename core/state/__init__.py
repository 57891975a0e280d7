"""The durable state of a profile, and the selector cache that all share."""
