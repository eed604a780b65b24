"""Sending a `Reply` the way it says.

Here a fault becomes real: a reset is a RST (SO_LINGER 0, then abort), a cut is a FIN in the middle of a body, silence
is a handler that waits for the client to leave.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Mapping

from aiohttp import web

from .calls import Call
from .reply import Reply, Role

_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


async def send(
    reply: Reply, request: web.BaseRequest, call: Call, headers: Mapping[str, str], *, keep_alive: bool
) -> web.StreamResponse:
    """Send `reply` with further `headers`, and keep the record of it in `call`."""
    response = web.StreamResponse(status=reply.status, headers={**headers, **reply.headers})
    if not keep_alive:
        response.force_close()
    if "content-type" not in response.headers:
        response.headers["Content-Type"] = reply.content_type
    try:
        if not reply.sends_headers:
            await _end(reply, request, response, call)
            return response
        call.status = reply.status
        if reply.streamed:
            await _send_stream(reply, request, response, call)
        else:
            await _send_whole(reply, request, response, call)
    except ConnectionError:
        call.end("client_closed")
    except asyncio.CancelledError:
        call.end("client_closed")
        raise
    return response


async def _send_whole(reply: Reply, request: web.BaseRequest, response: web.StreamResponse, call: Call) -> None:
    body = b"".join(part.data for part in reply.parts)
    # An answer in one piece takes as long as its pieces would.
    await _pause(reply.first_delay_s + reply.chunk_delay_s * max(0, reply.pieces - 1))
    response.content_length = len(body) if reply.declared_bytes is None else reply.declared_bytes
    if reply.ending == "complete":
        call.chunks_sent += 1
        call.end("complete")
        await response.prepare(request)
        await response.write_eof(body)
        return
    await response.prepare(request)
    if body:
        await response.write(body)
    await _end(reply, request, response, call)


async def _send_stream(reply: Reply, request: web.BaseRequest, response: web.StreamResponse, call: Call) -> None:
    response.enable_chunked_encoding()
    delay_s = reply.first_delay_s
    if not reply.headers_first:
        await _pause(delay_s)
        delay_s = 0.0
    await response.prepare(request)
    last = len(reply.parts) - 1 if reply.ending == "complete" else -1
    for index, part in enumerate(reply.parts):
        if part.role is Role.CONTENT:
            await _pause(delay_s)
            delay_s = reply.chunk_delay_s
            call.chunks_sent += 1
        if index == last:
            call.end("complete")
            await response.write_eof(part.data)
        else:
            await response.write(part.data)
    if last < 0:
        await _end(reply, request, response, call)


async def _end(reply: Reply, request: web.BaseRequest, response: web.StreamResponse, call: Call) -> None:
    transport = request.transport
    if reply.ending == "hang":
        await _hang(reply, response)
    if reply.ending == "complete" or transport is None:
        call.end("complete" if transport is not None else "client_closed")
        return
    call.end("fault")
    if reply.ending == "reset":
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    else:
        transport.close()


async def _hang(reply: Reply, response: web.StreamResponse) -> None:
    """Until the client goes or the server stops: both cancel this handler."""
    while True:
        await asyncio.sleep(reply.heartbeat_s if reply.heartbeat else 3600)
        if reply.heartbeat:
            await response.write(reply.heartbeat)


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
