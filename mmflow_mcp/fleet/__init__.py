"""What several processes share: the connection to Redis, and the lease that elects one of them."""
