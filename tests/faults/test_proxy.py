"""The proxy breaks what it is told to break, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from tests.faults.proxy import FaultProxy, fault_proxy


@asynccontextmanager
async def echo_behind_proxy() -> AsyncIterator[tuple[FaultProxy, trio.SocketStream]]:
    async def echo(stream: trio.SocketStream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            return

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, echo, 0, host="127.0.0.1"))
        host, port = listeners[0].socket.getsockname()[:2]
        async with fault_proxy(host, port) as proxy, await trio.open_tcp_stream(*proxy.listens_on) as client:
            yield proxy, client
        nursery.cancel_scope.cancel()


async def answered(client: trio.SocketStream, data: bytes, limit_s: float = 5.0) -> bytes:
    """What comes back for `data` until as much has come; what there is at the limit."""
    back = b""
    await client.send_all(data)
    with trio.move_on_after(limit_s):
        while len(back) < len(data) and (part := await client.receive_some(65_536)):
            back += part
    return back


async def test_untouched_it_is_not_there() -> None:
    """Without a fault, bytes pass both ways."""
    async with echo_behind_proxy() as (proxy, client):
        data = bytes(range(256)) * 1000
        assert await answered(client, data) == data
        assert (proxy.connections, proxy.accepted) == (1, 1)


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_black_hole_swallows_one_direction(direction: str) -> None:
    """Bytes vanish in that direction, the connection stays open, and what comes after healing passes."""
    async with echo_behind_proxy() as (proxy, client):
        proxy.black_hole(up=direction == "up", down=direction == "down")
        assert await answered(client, b"lost", limit_s=0.2) == b""
        proxy.heal()
        assert await answered(client, b"found") == b"found"


async def test_slices_and_delays_change_no_byte() -> None:
    """Cut into single bytes and delayed, the stream is the same, and later."""
    async with echo_behind_proxy() as (proxy, client):
        proxy.up.slice_bytes = 1
        proxy.down.slice_bytes = 7
        proxy.up.latency_s = 0.1
        began = trio.current_time()
        assert await answered(client, b"0123456789" * 20) == b"0123456789" * 20
        assert trio.current_time() - began >= 0.1


async def test_a_narrow_pipe_takes_its_time() -> None:
    """At 10 kB/s, 5 kB need half a second."""
    async with echo_behind_proxy() as (proxy, client):
        proxy.up.bytes_per_s = 10_000
        proxy.up.slice_bytes = 500
        began = trio.current_time()
        assert len(await answered(client, b"x" * 5_000)) == 5_000
        assert trio.current_time() - began >= 0.4


async def test_a_byte_can_be_damaged() -> None:
    """One byte comes back another one."""
    async with echo_behind_proxy() as (proxy, client):
        proxy.up.corrupt = True
        assert await answered(client, b"abc") == b"\x9ebc"


async def test_a_reset_breaks_and_a_cut_ends() -> None:
    """The client sees a broken connection, or its end."""
    async with echo_behind_proxy() as (proxy, client):
        await answered(client, b"x")
        proxy.cut(reset=True)
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some(1)
    async with echo_behind_proxy() as (proxy, client):
        await answered(client, b"x")
        proxy.cut()
        assert await client.receive_some(1) == b""


async def test_it_can_refuse_and_swallow() -> None:
    """A refused connection ends at once; a swallowed one stays silent."""
    async with echo_behind_proxy() as (proxy, _):
        proxy.refuses = True
        async with await trio.open_tcp_stream(*proxy.listens_on) as refused:
            assert await refused.receive_some(1) == b""
        proxy.heal()
        proxy.swallows = True
        async with await trio.open_tcp_stream(*proxy.listens_on) as swallowed:
            assert await answered(swallowed, b"x", limit_s=0.1) == b""


async def test_half_a_connection_can_end() -> None:
    """Towards the client there is an end; what the client sends still arrives."""
    async with echo_behind_proxy() as (proxy, client):
        await answered(client, b"x")
        proxy.half_close(towards_server=False)
        assert await client.receive_some(1) == b""
        passed = proxy.up.bytes_passed
        await client.send_all(b"y")
        while proxy.up.bytes_passed == passed:
            await trio.sleep(0.005)
