"""Calls one after the other in one process, as Lambda's own runtime clients do.

A length and a body in, a length and an answer out.
"""

import sys

from work import prepare, work

prepare()
reading, writing = sys.stdin.buffer, sys.stdout.buffer
while head := reading.read(8):
    body = reading.read(int.from_bytes(head, "little")).decode()
    answer = work(body).encode()
    writing.write(len(answer).to_bytes(8, "little") + answer)
    writing.flush()
