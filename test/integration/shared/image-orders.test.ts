import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImageCatalog, type ImageDescription } from "../../../shared/image-catalog.ts";
import { ImageOrders, type TakenOrder } from "../../../shared/image-orders.ts";
import { connected } from "../../support/jobs.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";

let server: RedisServer;
let redis: Redis;
let orders: ImageOrders;
let catalog: ImageCatalog;

beforeAll(async () => {
  server = await startRedis();
  redis = await connected(server.url, "consumer");
  orders = new ImageOrders(redis, "longshore");
  catalog = new ImageCatalog(redis, "longshore");
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => void (await redis.flushall()));

async function takeAll(worker: string, most = 10, known: (id: string) => boolean = () => false): Promise<TakenOrder[]> {
  return await Array.fromAsync(orders.take(worker, most, known));
}

describe("an order", () => {
  it("is in the mailbox of each worker that it is given to, and taken once by each", async () => {
    const id = await orders.give({ action: "pull", reference: "docker.io/library/a:1" }, ["one", "two"]);
    const order = { id, action: "pull", reference: "docker.io/library/a:1" };
    expect(await takeAll("one")).toEqual([order]);
    expect(await takeAll("one")).toEqual([]);
    expect(await takeAll("two")).toEqual([order]);
    expect(await takeAll("three")).toEqual([]);
  });

  it("is there again for a worker that failed as it took it, unless it has begun with it", async () => {
    const id = await orders.give({ action: "remove", reference: "a" }, ["one"]);
    for await (const order of orders.take("one", 1, () => false)) {
      expect(order.id).toBe(id);
      break;
    }
    for await (const order of orders.take("one", 1, () => false)) {
      expect(order.id).toBe(id);
      break;
    }
    expect(await takeAll("one", 1, (known) => known === id)).toEqual([]);
    expect(await takeAll("one")).toEqual([]);
  });

  it("is taken in turn, no more at once than the worker wants", async () => {
    const ids: string[] = [];
    for (const reference of ["a", "b", "c"]) ids.push(await orders.give({ action: "pull", reference }, ["one"]));
    expect((await takeAll("one", 2)).map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect((await takeAll("one", 2)).map(({ id }) => id)).toEqual(ids.slice(2));
  });

  it("is answered by each worker, and forgotten some time later", async () => {
    const id = await orders.give({ action: "pull", reference: "a" }, ["one", "order"]);
    expect(Object.fromEntries(await orders.answers(id))).toEqual({
      one: { state: "pending" },
      order: { state: "pending" },
    });
    const error = { code: "image_not_found", message: "there is none" } as const;
    await orders.answer(id, "one", { state: "done", digest: "sha256:1" });
    await orders.answer(id, "order", { state: "failed", error });
    expect(Object.fromEntries(await orders.answers(id))).toEqual({
      one: { state: "done", digest: "sha256:1" },
      order: { state: "failed", error },
    });
    for (const key of await redis.keys("*")) expect(await redis.ttl(key)).toBeGreaterThan(3000);
    await redis.flushall();
    expect(await orders.answers(id)).toEqual(new Map());
    expect(await takeAll("one")).toEqual([]);
  });
});

describe("the catalog", () => {
  const description: ImageDescription = { created: null, platform: "linux/amd64", config: { Cmd: ["a"] }, layers: [] };

  it("is told of an image once, and renews it", async () => {
    let told = 0;
    const image = { digest: "sha256:1", describe: () => (told++, description) };
    await catalog.renew([image, image]);
    await redis.pexpire("{longshore}:image:sha256:1", 1000);
    await catalog.renew([image]);
    expect(told).toBe(1);
    expect(await redis.pttl("{longshore}:image:sha256:1")).toBeGreaterThan(10_000);
    expect(await catalog.find("sha256:1")).toEqual(description);
    await redis.flushall();
    expect(await catalog.find("sha256:1")).toBeUndefined();
    await catalog.renew([image]);
    expect(told).toBe(2);
  });

  it("leaves out a configuration that is too large", async () => {
    const config = { Labels: { large: "x".repeat(300_000) } };
    await catalog.renew([{ digest: "sha256:2", describe: () => ({ ...description, config }) }]);
    expect(await catalog.find("sha256:2")).toEqual({ ...description, config: null });
    await catalog.renew([]);
  });
});
