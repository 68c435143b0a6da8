/** What a job wrote, on its way round: kept, committed, pushed, removed here, pulled back, run. By commands alone. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { RunJob } from "../../../shared/job.ts";
import { type RunningApi, startApi } from "../../support/api.ts";
import { listTree } from "../../support/file-tree.ts";
import { runCommand } from "../../support/longshore.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { publishBase } from "../../support/registry/base-image.ts";
import { type DockerRegistry, startRegistry } from "../../support/registry/docker-registry.ts";
import { startWorkerProcess, type WorkerProcess } from "../../support/worker.ts";

/** Init-layer files are the container's own, whatever a job does to them. */
const SCRIPT = `
  echo mine >/etc/hosts; echo mine >/etc/hostname; echo mine >/etc/resolv.conf
  mkdir -p /opt/tool && echo 'echo made by a job' >/opt/tool/run && chmod 755 /opt/tool/run
  rm /etc/debian_version; echo more >>/etc/issue`;

let directory: string;
let redis: RedisServer;
let registry: DockerRegistry;
let base: string;
let worker: WorkerProcess;
let api: RunningApi;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-image-of-a-job-"));
  redis = await startRedis();
  registry = await startRegistry();
  base = await publishBase(registry.host);
  worker = startWorkerProcess({ REDIS_URL: redis.url, LONGSHORE_SLOTS: "1", LONGSHORE_DATA: directory });
  await worker.ready;
  api = await startApi(redis.url);
});

afterAll(async () => {
  await api[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
  await redis.stop();
  await rm(directory, { recursive: true });
});

/** Runs a command that has to succeed, and returns what it printed. */
async function longshore(...words: string[]): Promise<string> {
  const environment = { LONGSHORE_URL: api.url, LONGSHORE_DATA: directory, DOCKER_CONFIG: directory };
  const { exitCode, stdout, stderr } = await runCommand(words, { environment });
  expect([words, exitCode, stderr]).toEqual([words, 0, expect.any(String)]);
  return stdout.toString();
}

interface Inspected {
  readonly digest: string;
  readonly layers: readonly { readonly path: string; readonly blob: { readonly digest: string } }[];
  readonly config: { readonly history: readonly { readonly comment?: string }[] };
}

async function inspect(name: string): Promise<Inspected> {
  const [image] = JSON.parse(await longshore("images", "inspect", name)) as Inspected[];
  return image ?? expect.fail(`there is no ${name}`);
}

// A dozen commands, each with processes of its own.
it("an image that a job made goes to a registry with its own layer only, and comes back as it was", async () => {
  await longshore("images", "pull", base);
  // As root of its own ids, so that it may change what the image has.
  const context = join(directory, "context");
  await mkdir(context);
  await writeFile(join(context, "Dockerfile"), `FROM ${base}\nUSER root\nWORKDIR /\n`);
  await longshore("images", "build", context, "-t", "root:1");

  const printed = await longshore("run", "--json", "--keep-layer", "-i", "root:1", "--", "bash", "-c", SCRIPT);
  const job = JSON.parse(printed) as RunJob;
  expect(job).toMatchObject({ state: "done", result: { outcome: "exited", exitCode: 0 } });
  const name = `${registry.host}/made/by-a-job:1`;
  const committed = await longshore("images", "commit", job.id, name, "-m", "a tool");
  const made = await inspect(name);
  expect(committed).toContain(made.digest);
  expect(made.config.history.at(-1)).toMatchObject({ comment: "a tool" });

  const written = listTree(made.layers.at(-1)?.path ?? "");
  const pathOf = (line: string): string => line.split(" ")[0] ?? "";
  expect(written.map(pathOf)).toEqual(expect.arrayContaining(["/opt/tool/run", "/etc/debian_version", "/etc/issue"]));
  for (const path of ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"])
    expect(written.map(pathOf)).not.toContain(path);

  const before = registry.log.length;
  expect(await longshore("images", "push", name)).toBe(`${name}: ${made.digest}\n`);
  const logged = () => registry.log.slice(before);
  await expect
    .poll(() => logged().some(({ method, url }) => method === "PUT" && url.includes("/manifests/")))
    .toBe(true);
  const ofBase = (await inspect(base)).layers.map(({ blob }) => blob.digest);
  const about = (digest: string) => logged().filter(({ url }) => decodeURIComponent(url).includes(digest));
  for (const digest of ofBase) {
    // Asked for, taken over from the repository of the base, and never sent.
    expect(about(digest).map(({ method, status }) => `${method} ${status}`)).toEqual(["HEAD 404", "POST 201"]);
    expect(decodeURIComponent(about(digest)[1]?.url ?? "")).toContain(`mount=${digest}&from=base`);
  }
  const own = made.layers.map(({ blob }) => blob.digest).filter((digest) => !ofBase.includes(digest));
  expect(own.length).toBeGreaterThan(0);
  for (const digest of own)
    expect(about(digest).some(({ method, status }) => method === "PUT" && status === 201)).toBe(true);

  // Nothing of it stays here: neither its name, nor its layers, nor what the job kept.
  await longshore("images", "rm", name, "root:1");
  const again = registry.log.length;
  expect(await longshore("images", "pull", name)).toContain(made.digest);
  await expect
    .poll(() => registry.log.slice(again).filter(({ url }) => url.includes("/blobs/")).length)
    .toBeGreaterThan(0);
  const transferred = registry.log.slice(again).map(({ url }) => url);
  for (const digest of ofBase) expect(transferred.some((url) => url.includes(digest))).toBe(false);
  const back = await inspect(name);
  expect(back.layers.map(({ blob }) => blob.digest)).toEqual(made.layers.map(({ blob }) => blob.digest));

  const look = "/opt/tool/run; tail -n 1 /etc/issue; cat /etc/hosts; ls /etc/debian_version";
  const environment = { LONGSHORE_URL: api.url };
  const ran = await runCommand(["run", "-i", name, "--", "bash", "-c", look], { environment });
  const [tool, issue, ...hosts] = ran.stdout.toString().split("\n");
  expect([tool, issue]).toEqual(["made by a job", "more"]);
  expect(hosts.join("\n")).toContain("localhost");
  expect(hosts.join("\n")).not.toContain("mine");
  expect(ran.stderr).toContain("No such file or directory");
}, 180_000);
