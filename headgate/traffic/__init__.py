"""Decisions about traffic, pure: which server, whether it is healthy, what may come in, what may be tried again."""
