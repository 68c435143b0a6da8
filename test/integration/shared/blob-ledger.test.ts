import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { BlobLedger, type Holder } from "../../../shared/blobs/ledger.ts";
import type { Digest } from "../../../shared/digest.ts";
import { connected } from "../../support/jobs.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";

let server: RedisServer;
let redis: Redis;
let ledger: BlobLedger;
beforeAll(async () => {
  server = await startRedis();
  redis = await connected(server.url, "producer");
  ledger = new BlobLedger(redis, "longshore");
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => void (await redis.flushall()));

const digest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
const holder = (name: string, changes: Partial<Holder> = {}): Holder => ({
  name,
  ttlSeconds: 1000,
  quotaBytes: 100_000,
  ...changes,
});
/** As if the time of a hold were over, with no sweep since. */
const expire = (name: string, digit: string) =>
  redis.zadd("{longshore}:blobs:holds", Date.now() - 1, `${name} ${digit.repeat(64)}`);

test("of holds that exceed a quota together, as many are granted as it has room for", async () => {
  const digits = "0123456789".split("");
  const holds = await Promise.all(digits.map((digit) => ledger.hold(digest(digit), 30_000, holder("alice"))));
  expect(holds.map(({ status }) => status).toSorted()).toEqual([
    ...Array.from({ length: 3 }, () => "new"),
    ...Array.from({ length: 7 }, () => "quota"),
  ]);
  expect(await ledger.chargedTo("alice")).toBe(90_000);
});

test("a hold that is renewed is charged once", async () => {
  await ledger.hold(digest("a"), 60_000, holder("alice"));
  expect(await ledger.hold(digest("a"), 60_000, holder("alice"))).toMatchObject({ status: "renewed" });
  expect(await ledger.chargedTo("alice")).toBe(60_000);
});

test("a hold whose time is over is none, also before it is swept, and is not revived by its use", async () => {
  await ledger.hold(digest("a"), 10, holder("alice"));
  await ledger.hold(digest("b"), 20, holder("alice"));
  await expire("alice", "a");
  expect(await ledger.touch([digest("a"), digest("b"), digest("c")], holder("alice"))).toEqual([
    undefined,
    20,
    undefined,
  ]);
  await ledger.expire();
  expect(await ledger.doomed()).toEqual([digest("a")]);
});

test("a blob is doomed when its last holder lets go, and not while another has it", async () => {
  await ledger.hold(digest("a"), 10, holder("alice"));
  await ledger.hold(digest("a"), 10, holder("bob"));
  expect(await ledger.release(digest("a"), "alice")).toBe(true);
  expect(await ledger.release(digest("a"), "alice")).toBe(false);
  expect(await ledger.doomed()).toEqual([]);
  await expire("bob", "a");
  await ledger.expire();
  expect(await ledger.doomed()).toEqual([digest("a")]);
});

test("a blob is either held again or removed, never both", async () => {
  await ledger.hold(digest("a"), 10, holder("alice"));
  await ledger.release(digest("a"), "alice");
  const [hold, claimed] = await Promise.all([ledger.hold(digest("a"), 10, holder("bob")), ledger.claim(digest("a"))]);
  expect([hold.status, claimed]).toEqual(claimed ? ["removing", true] : ["new", false]);
  await redis.flushall();
  await ledger.hold(digest("a"), 10, holder("alice"));
  await ledger.release(digest("a"), "alice");
  expect(await ledger.claim(digest("a"))).toBe(true);
  expect(await ledger.hold(digest("a"), 10, holder("bob"))).toEqual({ status: "removing" });
  await ledger.forget(digest("a"));
  expect(await ledger.hold(digest("a"), 10, holder("bob"))).toMatchObject({ status: "new" });
});

test("any number of holds ends in one go, and leaves nothing", async () => {
  const names = Array.from({ length: 1200 }, (_, index) => `job:${index}`);
  await Promise.all(names.map((name) => ledger.hold(digest("a"), 10, holder(name))));
  await Promise.all(names.map((name) => expire(name, "a")));
  await ledger.expire();
  expect(await redis.keys("*")).toEqual(["{longshore}:blobs:doomed"]);
});
