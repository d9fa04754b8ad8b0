"""The published dataset: what its files hold, how a new version comes about, and what must be true of it."""
