"""Who asks over HTTP, and how much: API keys, client addresses, quotas."""
