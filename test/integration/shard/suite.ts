/** A suite of tests in Python's unittest, and a runner that writes JUnit's XML with the standard library alone. */

/**
 * The runner: `python3 run.py REPORT ITEM…`, where an item is a file, or a test as pytest names it. `--list` prints the
 * tests of all files instead.
 */
export const RUNNER = `
import importlib.util, sys, time, unittest
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

def load(path):
    spec = importlib.util.spec_from_file_location(path[:-3].replace("/", "."), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return unittest.defaultTestLoader.loadTestsFromModule(module)

def tests_of(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from tests_of(test)
        else:
            yield test

def name_of(path, test):
    return f"{path}::{type(test).__name__}::{test._testMethodName}"

def select(item):
    path = item.split("::")[0]
    for test in tests_of(load(path)):
        if item == path or name_of(path, test) == item:
            yield path, test

class Result(unittest.TestResult):
    def startTest(self, test):
        super().startTest(test)
        self.begin = time.perf_counter()

if sys.argv[1] == "--list":
    for path in sorted(str(p) for p in Path("tests").glob("test_*.py")):
        for test in tests_of(load(path)):
            print(name_of(path, test))
    print("\\n9999 tests collected")
    sys.exit(0)

report, cases, bad = sys.argv[1], [], 0
for item in sys.argv[2:]:
    for path, test in select(item):
        result = Result()
        begin = time.perf_counter()
        test.run(result)
        seconds = time.perf_counter() - begin
        body = ""
        for kind, problems in ("failure", result.failures), ("error", result.errors):
            for _, trace in problems:
                bad = 1
                message = trace.strip().splitlines()[-1]
                body += f"<{kind} message={quoteattr(message)}>{escape(trace)}</{kind}>"
        for _, reason in result.skipped:
            body += f"<skipped message={quoteattr(reason)}/>"
        classname = path[:-3].replace("/", ".") + "." + type(test).__name__
        cases.append(f'<testcase classname="{classname}" name="{test._testMethodName}" time="{seconds:.6f}">{body}</testcase>')
Path(report).write_text(f'<testsuites><testsuite name="unittest" tests="{len(cases)}">{"".join(cases)}</testsuite></testsuites>')
print(f"ran {len(cases)} tests")
sys.exit(bad)
`;

/** A file of tests; each body is that of one method. */
export function testFile(bodies: Readonly<Record<string, string>>, className = "Tests"): string {
  const methods = Object.entries(bodies).map(([name, body]) => `    def ${name}(self):\n        ${body}\n`);
  return `import os, sys, time, unittest\nclass ${className}(unittest.TestCase):\n${methods.join("")}`;
}

/** The runner, among the files of a job. */
export const RUNNER_FILE = { path: "run.py", content: RUNNER };

/** A job of six tests, of which one fails, one breaks and one is skipped. */
export const suite = {
  files: [
    RUNNER_FILE,
    {
      path: "tests/test_a.py",
      content: testFile({ test_1: "pass", test_2: "self.assertEqual(1, 2)", test_3: "self.skipTest('later')" }),
    },
    { path: "tests/test_b.py", content: testFile({ test_1: "raise OSError('gone')", test_2: "pass", test_3: "pass" }) },
  ],
  discover: ["python3", "run.py", "--list"],
  command: ["python3", "run.py", "/out/junit.xml", "{items}"],
  shards: 3,
};

/** A program in Python that writes a report of tests that pass: its items, in their order. */
export const REPORT_ITEMS = `import sys
cases = "".join(f'<testcase classname="t" name="{item}" time="0.01"/>' for item in sys.argv[1:])
open("/out/junit.xml", "w").write(f"<testsuite>{cases}</testsuite>")`;
