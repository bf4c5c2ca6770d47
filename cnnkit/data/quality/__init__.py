"""What is wrong with the data: unreadable files, duplicates, leaks, imbalance."""
