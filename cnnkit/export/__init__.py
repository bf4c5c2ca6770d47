"""A trained model as a file for other runtimes, with all that its user must know inside, and with proof that it answers alike."""
