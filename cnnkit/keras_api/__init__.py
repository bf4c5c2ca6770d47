"""The installed Keras, and Optuna for sweeps: signatures of its objects, building one from a config entry, and its private API."""
