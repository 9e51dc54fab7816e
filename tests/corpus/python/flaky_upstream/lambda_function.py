import functools
import random
import time


class UpstreamError(Exception):
    retryable = True


class Throttled(UpstreamError):
    pass


class BadRequest(UpstreamError):
    retryable = False


def retry(attempts=4, base=0.001, cap=0.02, rng=None):
    """Exponential backoff with full jitter."""
    def decorator(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            delays = []
            for attempt in range(1, attempts + 1):
                try:
                    return func(*args, **kwargs), attempt, delays
                except UpstreamError as error:
                    if not error.retryable or attempt == attempts:
                        error.args += (f"after {attempt} attempt(s)",)
                        raise
                    delay = rng.uniform(0, min(cap, base * 2 ** attempt))
                    delays.append(round(delay, 9))
                    print(f"attempt {attempt} failed with {error!r}")
                    time.sleep(delay)
        return wrapper
    return decorator


class Upstream:
    """Plays a service that fails as the event says."""

    def __init__(self, script):
        self.script = iter(script)

    def get(self, key):
        step = next(self.script)
        if step == "throttle":
            raise Throttled("slow down", key)
        if step == "bad":
            raise BadRequest(f"no such key: {key}")
        if step == "crash":
            raise ConnectionResetError(104, "Connection reset by peer")
        return step


def lambda_handler(event, context):
    upstream = Upstream(event["script"])
    fetch = retry(attempts=event.get("attempts", 4), rng=random.Random(event.get("seed", 1)))(upstream.get)
    before = context.get_remaining_time_in_millis()
    value, attempts, delays = fetch(event["key"])
    return {"name": fetch.__name__, "value": value, "attempts": attempts, "delays": delays, "time_left": 0 < context.get_remaining_time_in_millis() <= before}
