"""Synthetic head CT with bleeds of known volume: heads, bleeds, scanner, cases and data sets made on the fly."""

from hemorrhage.phantom.case import Case, make_case
from hemorrhage.phantom.datasets import SlicePhantoms, TemplatePhantoms
from hemorrhage.phantom.scanner import Scanner

__all__ = ["Case", "Scanner", "SlicePhantoms", "TemplatePhantoms", "make_case"]
