"""Signing in: the password, sessions, and what stands before every page."""
