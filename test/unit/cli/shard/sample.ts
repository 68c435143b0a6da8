import type { FailedTest, PhaseEvent, ShardEvent, ShardReport, ShardResult } from "../../../../shared/shard-result.ts";

export const noCounts = { tests: 0, passed: 0, failed: 0, errored: 0, skipped: 0, flaky: 0, lost: 0 };

const stream = { content: "", encoding: "utf8", bytes: 0, truncated: false } as const;

export function makeEvent(parts: Partial<ShardEvent> = {}): ShardEvent {
  return {
    shard: 2,
    shards: 12,
    state: "running",
    attempt: 1,
    worker: "worker-1",
    items: 3,
    itemsTotal: 10,
    counts: { ...noCounts, tests: 7, passed: 6, failed: 1 },
    wallTimeMs: 1500,
    ...parts,
  };
}

export function makePhase(parts: Partial<PhaseEvent> = {}): PhaseEvent {
  return {
    phase: "setup",
    state: "running",
    worker: "worker-1",
    cached: false,
    items: null,
    wallTimeMs: 0,
    ...parts,
  };
}

export function makeFailedTest(parts: Partial<FailedTest> = {}): FailedTest {
  return {
    id: "tests.test_a::test_x",
    suite: "pytest",
    classname: "tests.test_a",
    name: "test_x",
    file: null,
    timeMs: 12,
    shard: 2,
    outcome: "failed",
    runs: 1,
    message: "assert 1 == 2",
    details: "def test_x():\n>   assert 1 == 2",
    stdout: "",
    stderr: "",
    ...parts,
  };
}

export function makeShard(parts: Partial<ShardReport> = {}): ShardReport {
  return {
    shard: 1,
    state: "done",
    attempt: 1,
    worker: "worker-1",
    items: 10,
    counts: { ...noCounts, tests: 40, passed: 40 },
    wallTimeMs: 12_300,
    expectedMs: null,
    runs: [],
    stdout: stream,
    stderr: stream,
    outputs: [],
    error: null,
    ...parts,
  };
}

export function makeResult(parts: Partial<ShardResult> = {}): ShardResult {
  return {
    outcome: "passed",
    message: "",
    counts: { ...noCounts, tests: 40, passed: 40 },
    failures: [],
    flaky: [],
    lost: [],
    slowest: [],
    shards: [makeShard()],
    evenness: 1,
    strategy: "time",
    setup: null,
    discovery: null,
    report: null,
    timings: { queuedMs: 1, pullMs: 0, setupMs: 0, discoverMs: 0, shardsMs: 12_400, mergeMs: 3 },
    image: "sha256:0",
    worker: "worker-1",
    ...parts,
  };
}
