"""From masks to numbers, pictures and pages."""
