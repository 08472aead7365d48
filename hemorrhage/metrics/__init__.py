"""Scores of the papers that MONAI does not have."""
