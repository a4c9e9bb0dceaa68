"""Asking many venues one question, and what a question needs to be asked."""
