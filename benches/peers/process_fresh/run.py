"""One call in a process of its own: body on standard input, answer on standard output."""

import sys

from work import prepare, work

prepare()
sys.stdout.write(work(sys.stdin.read()))
