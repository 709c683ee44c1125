"""Live updates: one poller per web process tells every watcher what changed in the database."""
