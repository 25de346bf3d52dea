"""Readers of formats that no single pattern describes: named in a format's file, each returns what a line says."""
