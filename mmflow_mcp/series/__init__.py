"""History: one contract for time series, and what keeps them (SQLite, Redis, memory)."""
