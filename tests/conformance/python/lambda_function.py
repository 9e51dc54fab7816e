"""Runs one module of CPython's own tests, and says what came of it.

Event: {"module": "test_json"}, or with "match": a part of tests' names. Result: counts, and failing tests by name with
the last line of their traceback.
"""

import importlib
import io
import os
import sys
import time
import unittest


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__(io.StringIO())
        self.succeeded = 0
        self.failing = {}
        self.left_out = {}

    def addSuccess(self, test):
        super().addSuccess(test)
        self.succeeded += 1

    def _note(self, test, error):
        kind, value, _ = error
        lines = str(value).splitlines() or [""]
        self.failing[test.id()] = f"{kind.__name__}: {lines[0]}"[:200]

    def addError(self, test, error):
        super().addError(test, error)
        self._note(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._note(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self._note(test, error)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.failing[test.id()] = "unexpected success"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.left_out[test.id()] = reason


def narrowed(suite, match):
    if not match:
        return suite
    return unittest.TestSuite(test for test in flat(suite) if match in test.id())


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def lambda_handler(event, context):
    os.chdir("/tmp")
    sys.argv[:] = ["test"]
    from test import support

    support.verbose = False
    started_s = time.perf_counter()
    result = Result()
    module = importlib.import_module("test." + event["module"])
    if hasattr(module, "test_main"):  # it says itself what its tests are, as regrtest would ask
        support._run_suite = lambda suite: narrowed(suite, event.get("match", "")).run(result)
        module.test_main()
    else:
        suite = unittest.defaultTestLoader.loadTestsFromModule(module)
        narrowed(suite, event.get("match", "")).run(result)
    return {
        "run": result.testsRun,
        "succeeded": result.succeeded,
        "expected_failures": len(result.expectedFailures),
        "skipped": result.left_out,
        "failing": result.failing,
        "seconds": round(time.perf_counter() - started_s, 1),
    }
