"""Everything a person sees in a terminal: text, progress, and a file for each subject's tables."""
