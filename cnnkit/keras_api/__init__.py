"""The installed Keras: signatures of its objects, building one from a config entry, and its private API."""
