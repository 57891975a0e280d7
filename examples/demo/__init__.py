"""A small web of four services to try Ostler on, and the flow that uses them."""
