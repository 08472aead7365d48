"""From masks to tables: scores of single scans, summaries of many, and systems beside each other."""
