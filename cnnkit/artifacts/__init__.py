"""Models in files, whatever their format: what they mean, and running them with their own runtime."""
