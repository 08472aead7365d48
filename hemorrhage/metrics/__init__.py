"""Measures of agreement: pure functions on arrays, each with a declared value for empty masks (docs/metrics.md)."""
