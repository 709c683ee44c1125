"""Uploads: Backdrop's door beside other servers that take files."""
