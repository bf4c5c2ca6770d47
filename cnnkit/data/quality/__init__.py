"""Data checks: unreadable files, duplicates, leakage between splits, class imbalance."""
