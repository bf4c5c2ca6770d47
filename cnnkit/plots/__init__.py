"""Draw curves, matrices and pictures as PNG files."""
