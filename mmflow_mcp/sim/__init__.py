"""A simulated world that speaks the venues' own wire formats.

One seeded `Market` is the truth, a pure function of time; `sim/<venue>.py` renders it as that venue
would answer, `SimApp` serves it and `faults` break it. Nothing here is shared with the parsers.
"""
