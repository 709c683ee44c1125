"""The chaos suite: everything is killed, and the promises must hold. `python -m tests.chaos`."""
