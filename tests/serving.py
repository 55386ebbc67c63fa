"""A web application served by uvicorn on this machine, for clients that speak real HTTP."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Its URL; within, it answers."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2))
    ready = threading.Event()

    def run() -> None:
        async def serve() -> None:
            asyncio.get_running_loop().call_later(0.05, ready.set)
            await server.serve(sockets=[listening])

        asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(30), "it starts"
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        app.state.pulse.close()
        server.should_exit = True
        thread.join(20)
        listening.close()
