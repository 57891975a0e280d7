"""What is to be done: feeds are read, the durable queue keeps what came of them."""
