"""A link between two machines: passes bytes on, from addresses to others, until it is killed.

python -m tests.chaos.proxy HOST:PORT=TARGET …    where a target is HOST:PORT or a socket's path

While it is stopped by SIGSTOP nothing gets through, and nobody is told.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress


async def main(links: list[str]) -> None:
    await asyncio.gather(*(serve(*link.split("=", 1)) for link in links))


async def serve(address: str, target: str) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await reach(target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    host, port = address.rsplit(":", 1)
    server = await asyncio.start_server(meet, host, int(port))
    await server.serve_forever()


async def reach(target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, port = target.rsplit(":", 1)
    return await asyncio.open_connection(host, int(port))


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
