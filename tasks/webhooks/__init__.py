"""Telling other programs that a task on a file has ended: signed requests, tried again, recorded.

What is sent follows the conventions of Standard Webhooks, so that any of its libraries checks it.
"""

TEST = "webhook.test"
"""The type of a message that means nothing."""
