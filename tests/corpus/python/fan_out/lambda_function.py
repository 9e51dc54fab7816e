"""Asks several backends at once and takes what comes in time."""
import asyncio
import contextvars
import json

request_id = contextvars.ContextVar("request_id", default="-")


class BackendError(Exception):
    pass


async def backend(name, delay_ms, fail=None):
    await asyncio.sleep(delay_ms / 1000)
    if fail:
        raise BackendError(f"{name}: {fail}")
    return {"backend": name, "request": request_id.get()}


async def bounded(semaphore, trace, spec):
    async with semaphore:
        trace.append(f"+{spec['name']}")
        try:
            return await asyncio.wait_for(backend(**spec), timeout=5)
        finally:
            trace.append(f"-{spec['name']}")


async def producer(queue, items):
    for item in items:
        await queue.put(item)
    await queue.put(None)


async def consumer(queue):
    total = 0
    while (item := await queue.get()) is not None:
        total += item
        await asyncio.sleep(0)
    return total


async def ticks(n):
    for i in range(n):
        yield i
        await asyncio.sleep(0)


async def main(event):
    request_id.set(event.get("id", "none"))
    trace = []
    semaphore = asyncio.Semaphore(event.get("parallel", 2))
    jobs = (bounded(semaphore, trace, spec) for spec in event["backends"])
    answers = await asyncio.gather(*jobs, return_exceptions=not event.get("strict", False))
    queue = asyncio.Queue(maxsize=2)
    _, total = await asyncio.gather(producer(queue, range(10)), consumer(queue))
    try:
        async with asyncio.timeout(0.001):
            await asyncio.Event().wait()
        late = "?"
    except TimeoutError:
        late = "timed out"
    if event.get("group"):
        async with asyncio.TaskGroup() as group:
            for spec in event["group"]:
                group.create_task(backend(**spec), name=spec["name"])
    return {
        "answers": [repr(a) if isinstance(a, Exception) else a for a in answers],
        "trace": trace if event.get("parallel") == 1 else sorted(trace),
        "total": total,
        "ticks": [i async for i in ticks(3)],
        "late": late,
    }


def lambda_handler(event, context):
    return {"statusCode": 200, "body": json.dumps(asyncio.run(main(event)))}
