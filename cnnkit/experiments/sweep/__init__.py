"""Hyperparameter search with Optuna: trials that are normal runs, shared out among workers; and the winner, retrained."""
