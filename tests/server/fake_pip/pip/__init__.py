"""Stands in for pip in tests: see __main__.py."""
