"""Arithmetic of METHODS: pure functions, rows in, rows out; no clock, no waiting, no I/O."""
