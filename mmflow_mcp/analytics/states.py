"""How good a reading is: of now, too old to weigh in full, or not there (METHODS 10)."""

LIVE, STALE, NONE = "live", "stale", "none"
