"""Records and causes → bytes and text for clients, logs and terminals."""
