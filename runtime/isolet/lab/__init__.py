"""The cold-start laboratory: what `isolet bench` measures, and how.

figures      distributions, and how sure their numbers are
load         a client in a process of its own: closed loop, open loop
house        a server of ours to measure, on data of its own
stamps       where an invocation is, by the clock: wrappers around the path that runs
phases       one invocation taken apart
colds        the four colds, each forced on purpose
machine      what it was measured on
"""
