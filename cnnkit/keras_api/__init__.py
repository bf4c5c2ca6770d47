"""The installed Keras: what its objects take, building one from a config entry, and all that is private of it."""
