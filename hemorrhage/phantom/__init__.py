"""Synthetic head CT with bleeds of known volume: pure functions on tensors."""
