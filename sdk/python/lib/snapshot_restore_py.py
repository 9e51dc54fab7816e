"""Hooks around the snapshot, as Lambda's SnapStart has them: functions register, the runtime calls."""

before_snapshot = []
after_restore = []


def register_before_snapshot(func, *args, **kwargs):
    before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    after_restore.append((func, args, kwargs))
    return func
