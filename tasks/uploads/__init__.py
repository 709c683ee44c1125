"""Files that are sent to tasks: asked for, received in pieces, checked, kept, swept.

The bytes are received by `door`, an ASGI application in front of Django, which would spool each
body to disk before a view sees it. What it does is `receiving` (asynchronous, from the socket) and
`writing` (in threads, to the file); `sessions` holds what the database has to say. Nothing here
trusts what was announced: size, checksum and type are those of the bytes that came.
"""
