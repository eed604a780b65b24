"""Performing the engine's effects: `sync` on threads, `aio` on asyncio, `sim` in simulated time."""
