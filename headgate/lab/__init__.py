"""Upstreams that misbehave on purpose, and the score of how a gateway deals with them."""
