"""Hemorrhage on head CT: readers, transforms, networks, phantoms and reports behind the bundle's configs."""

__version__ = "0.1.0"
