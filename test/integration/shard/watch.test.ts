/** Who watches a sharded suite while it runs, and what it costs that nobody does. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { connectRedis } from "../../../shared/redis.ts";
import { partId } from "../../../shared/shard-part.ts";
import { phaseEventSchema, shardEventSchema } from "../../../shared/shard-result.ts";
import { python, type SentEvent, ShardBench } from "./client.ts";
import { REPORT_ITEMS, suite } from "./suite.ts";

let bench: ShardBench;
beforeAll(async () => void (bench = await ShardBench.openWithWorker()));
afterAll(async () => await bench[Symbol.asyncDispose]());

async function post(body: Readonly<Record<string, unknown>>): Promise<string> {
  return (await bench.api.accept({ kind: "shard", image: "python", ...body })).id;
}

async function eventsOf(id: string): Promise<SentEvent[]> {
  return await Array.fromAsync(bench.events(id));
}

/** Of a job that is watched from its acceptance. */
async function allEvents(body: Readonly<Record<string, unknown>>): Promise<SentEvent[]> {
  return await Array.fromAsync(bench.watched(body));
}

/** What a part of a job printed, of all pieces that say they are of it. */
function printed(events: readonly SentEvent[], name: string, of: Readonly<Record<string, unknown>>): string {
  const pieces = events.filter((event) => {
    const data = event.data as Record<string, unknown>;
    return event.name === name && Object.entries(of).every(([key, value]) => data[key] === value);
  });
  return pieces.map(({ data }) => (data as { content: string }).content).join("");
}

/** One word for each event, and what it is of. */
function nameOf({ name, data }: SentEvent): string {
  if (name === "phase") {
    const { phase, state } = phaseEventSchema.parse(data);
    return `${phase} ${state}`;
  }
  if (name === "shard") {
    const { shard, state } = shardEventSchema.parse(data);
    return `shard ${shard} ${state}`;
  }
  return name;
}

describe("who watches a sharded suite", () => {
  it("is told of each shard when it is queued, begins, goes on and ends", async () => {
    const told = new Map<number, string[]>();
    for await (const { shard, state, counts } of bench.shardEvents(await post(suite))) {
      told.set(shard, [...(told.get(shard) ?? []), `${state} ${counts.tests}`]);
    }
    const story = ["queued 0", "running 0", "running 2", "done 2"];
    expect(Object.fromEntries(told)).toEqual({ 1: story, 2: story, 3: story });
  });

  it("is told of the set-up and the discovery, with what they print, before all shards", async () => {
    const setup = python("import sys; print('making ä'); print('warned', file=sys.stderr)");
    const discover = python("import sys; print('a'); print('b'); print('odd', file=sys.stderr)");
    const command = python(REPORT_ITEMS).concat("{items}");
    const body = { setup, discover, command, shards: 2, environment: { FRESH: String(process.pid) } };
    const events = await allEvents(body);
    const names = events.map(nameOf).filter((name) => /^(?:setup|discover|shard)/.test(name));
    expect(names.slice(0, 6)).toEqual([
      "setup running",
      "setup done",
      "discover running",
      "discover done",
      "shard 1 queued",
      "shard 2 queued",
    ]);
    const setUp = { phase: "setup" };
    expect([printed(events, "stdout", setUp), printed(events, "stderr", setUp)]).toEqual(["making ä\n", "warned\n"]);
    expect(printed(events, "stdout", { phase: "discover" })).toBe("a\nb\n");
    expect(printed(events, "stderr", { phase: "discover" })).toBe("odd\n");
    // What was printed is told before what became of it.
    const place = (name: string): number => events.findIndex((event) => nameOf(event) === name);
    expect(place("stdout")).toBeLessThan(place("setup done"));
    const phases = events.filter(({ name }) => name === "phase").map(({ data }) => phaseEventSchema.parse(data));
    expect(phases.at(-1)).toMatchObject({ phase: "discover", state: "done", items: 2 });
    const again = await allEvents(body);
    expect(again.filter(({ name }) => name === "phase").map(({ data }) => data)).toContainEqual(
      expect.objectContaining({ phase: "setup", state: "done", cached: true }),
    );
  });

  it("is told that the set-up has failed", async () => {
    const setup = python("import sys; sys.exit('no such package')");
    const events = await allEvents({ setup, items: ["a"], command: ["true", "{items}"] });
    const names = events.map(nameOf).filter((name) => name !== "state");
    expect(names).toEqual(["setup running", "stderr", "setup failed", "result"]);
  });

  it("sees what each shard prints while it runs, in the order in which it does", async () => {
    const program = `${REPORT_ITEMS}
import time
for n in range(5):
    print(sys.argv[1], n, flush=True)
    time.sleep(0.1)`;
    const command = python(program).concat("{items}");
    const events = await allEvents({ items: ["a", "b"], shards: 2, strategy: "round-robin", command });
    const lines = (item: string) => [0, 1, 2, 3, 4].map((n) => `${item} ${n}\n`).join("");
    expect(printed(events, "stdout", { shard: 1 })).toBe(lines("a"));
    expect(printed(events, "stdout", { shard: 2 })).toBe(lines("b"));
    const own = events.filter((event) => (event.data as { shard?: number }).shard === 1).map(nameOf);
    expect(own.indexOf("stdout")).toBeGreaterThan(own.indexOf("shard 1 running"));
    expect(own.lastIndexOf("stdout")).toBeLessThan(own.indexOf("shard 1 done"));
    // As it comes, and not at once in the end.
    expect(own.filter((name) => name === "stdout").length).toBeGreaterThan(1);
  });

  it("sees a mebibyte of a shard at most, over all of its commands; its log has all", async () => {
    const program = `${REPORT_ITEMS}
print("x" * 700_000, flush=True)`;
    const items = ["a", "b", "c", "d", "e", "f"];
    const body = { items, shards: 1, strategy: "dynamic", command: python(program).concat("{items}") };
    const events = await allEvents(body);
    const shown = printed(events, "stdout", { shard: 1 });
    expect(Buffer.byteLength(shown)).toBe(1024 * 1024);
    const { id } = z.object({ id: z.string() }).parse(events[0]?.data);
    expect(await bench.output(id, "logs/shard-1.run-2.log")).toHaveLength(700_001);
  });

  it("sees all that commands print that are over at once", async () => {
    const items = Array.from({ length: 12 }, (_, n) => `item-${n}`);
    const command = ["sh", "-c", 'printf "%s is over" "$*"; echo warned >&2', "sh", "{items}"];
    const setup = ["sh", "-c", `echo made ${process.pid} | tee made`];
    const events = await allEvents({ items, shards: 2, strategy: "dynamic", setup, command });
    expect(printed(events, "stdout", { phase: "setup" })).toBe(`made ${process.pid}\n`);
    const [stdout, stderr] = ["stdout", "stderr"].map((name) =>
      [1, 2].map((shard) => printed(events, name, { shard })).join(""),
    );
    const shown = stdout?.match(/item-\d+(?= .*is over| is over)/g) ?? [];
    expect(shown.toSorted()).toEqual(items.toSorted());
    expect(stderr).toBe("warned\n".repeat(stdout?.match(/is over/g)?.length ?? 0));
  });

  it("in the middle is told of what was before as well: which shards are done, and all of those that run", async () => {
    const program = `${REPORT_ITEMS}
import os, time
print("begun", flush=True)
if "slow" in sys.argv: time.sleep(5)`;
    const command = python(program).concat("{items}");
    const id = await post({ items: ["fast", "slow"], shards: 2, strategy: "round-robin", command });
    const redis = connectRedis(bench.redis.url, "consumer", () => undefined);
    try {
      const stateOf = (shard: number) => redis.hget(`{longshore}:job:${partId(id, shard)}`, "state");
      while ((await stateOf(1)) !== "done") await delay(50);
      expect(await redis.exists(`{longshore}:job:${id}:events`)).toBe(0);
      const events = await eventsOf(id);
      expect(events.map(nameOf).filter((name) => name.startsWith("shard"))).toEqual([
        "shard 1 done",
        "shard 2 running",
        "shard 2 running",
        "shard 2 done",
      ]);
      expect(printed(events, "stdout", { shard: 2 })).toBe("begun\n");
    } finally {
      redis.disconnect();
    }
  });
});

describe("a sharded suite that nobody watches", () => {
  it("writes no event", async () => {
    const { id } = await bench.run({ ...suite, setup: ["true"] });
    const keys = (await bench.everythingInRedis()).filter((text) => text.includes(id));
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.filter((text) => text.startsWith(`{longshore}:job:${id}:events`))).toEqual([]);
    expect((await eventsOf(id)).map(nameOf)).toEqual(["state", "result"]);
  });
});
