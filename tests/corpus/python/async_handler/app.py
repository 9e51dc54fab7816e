"""A coroutine as the handler. Lambda itself does not await it; isolet does, as asyncio.run would."""
import asyncio

lock = asyncio.Lock()


async def load(n):
    async with lock:
        await asyncio.sleep(0.001)
        if n < 0:
            raise ValueError(f"negative: {n}")
        return n * n


async def handler(event, context):
    squares = await asyncio.gather(*map(load, event["numbers"]))
    return {"squares": squares, "sum": sum(squares), "function": context.function_name}
