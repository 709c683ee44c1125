"""No-op tasks through Backdrop's engine and through those of its peers, all in one run."""
