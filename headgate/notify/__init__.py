"""Tells people and their tools what becomes of incidents: by which rules, in which shape, how often, and until it arrived."""
