"""A client using Python's asyncio: sends, half-closes, reads until EOF, compares checksums.

Arguments: host and port, or a path; then the number of bytes.
"""

import asyncio
import hashlib
import random
import sys

CHUNK = 256 * 1024


async def send(writer, total):
    source = random.Random(total)
    digest = hashlib.sha256()
    left = total
    while left:
        chunk = source.randbytes(min(CHUNK, left))
        digest.update(chunk)
        writer.write(chunk)
        await writer.drain()
        left -= len(chunk)
    writer.write_eof()
    return digest.hexdigest()


async def receive(reader):
    digest = hashlib.sha256()
    count = 0
    while chunk := await reader.read(CHUNK):
        digest.update(chunk)
        count += len(chunk)
    return digest.hexdigest(), count


async def main(where, total):
    if len(where) == 1:
        reader, writer = await asyncio.open_unix_connection(where[0])
    else:
        reader, writer = await asyncio.open_connection(where[0], int(where[1]))
    sent, (received, count) = await asyncio.gather(send(writer, total), receive(reader))
    writer.close()
    if count != total or sent != received:
        sys.exit(f"sent {total} bytes {sent}, got {count} bytes {received}")
    print(f"{count} bytes, sha256 {received}")


asyncio.run(main(sys.argv[1:-1], int(sys.argv[-1])))
