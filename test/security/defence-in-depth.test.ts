/**
 * Each layer of defence turned off, one at a time, and the same attacks each time, by root inside and by another user:
 * what gets through is what nothing else holds. The table in SECURITY.md is this one.
 */
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, mkdtempDisposable, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TarFields } from "../support/tar.ts";
import { fileOfImage, shipLayer } from "./shipped-layer.ts";
import { ATTACK_NAMES, ATTACKS } from "./weakened/attacks.ts";
import { ClosedUnit } from "./weakened/closed-unit.ts";
import { type WeakeningName, weakenings } from "./weakened/weakenings.ts";

/** What gets through when one thing is turned off: everything else is held by another layer. */
const GETS_THROUGH: Readonly<Record<WeakeningName, readonly string[]>> = {
  "the filter on system calls": ["making a user namespace", "using keyrings"],
  "the user namespace": [],
  "the dropping of capabilities": [],
  no_new_privs: [],
  "nosuid on mounts": [],
  "nodev on mounts": ["using a device that the image ships"],
  "read-only and masked /proc": [],
  "the detaching of the old root": ["reading the machine's public files"],
  "the network namespace": ["connecting to the machine's servers"],
  "the process namespace": [],
  "the IPC namespace": [],
};

/** What fails when one thing is left, and does not when nothing is: what that holds by itself. */
const HOLDS_ALONE: Readonly<Record<WeakeningName, readonly string[]>> = {
  "the filter on system calls": [
    "mounting",
    "changing the root",
    "reading the memory of the machine's processes",
    "packet sockets",
    "using keyrings",
    "opening files by handle",
  ],
  "the user namespace": [
    "reading root's files",
    "writing the machine's files",
    "setting the kernel's parameters",
    "mounting",
    "making a device",
    "reading the memory of the machine's processes",
    "signaling the machine's processes",
    "raw sockets",
    "packet sockets",
    "opening files by handle",
    "the machine's shared memory",
  ],
  "the dropping of capabilities": [
    "mounting",
    "changing the root",
    "making a device",
    "reading the memory of the machine's processes",
    "raw sockets",
    "packet sockets",
    "opening files by handle",
  ],
  no_new_privs: ["a set-user-id program"],
  "nosuid on mounts": ["a set-user-id program"],
  "nodev on mounts": ["using a device that the image ships"],
  "read-only and masked /proc": ["setting the kernel's parameters"],
  "the detaching of the old root": [],
  "the network namespace": ["connecting to the machine's servers"],
  "the process namespace": ["reading the memory of the machine's processes", "signaling the machine's processes"],
  "the IPC namespace": ["the machine's shared memory"],
};

const weakened = (name: string): string => join(import.meta.dirname, "weakened", name);
const resources = new AsyncDisposableStack();
let layer: string;
let aim: string;

beforeAll(async () => {
  const directory = await mkdtempDisposable(join(tmpdir(), "longshore-depth-"));
  resources.defer(() => directory.remove());
  await chmod(directory.path, 0o755);
  layer = join(directory.path, "layer");
  await shipLayer(layer, await hostileEntries());

  const [open, secret] = ["public", "private"].map((name) => join(directory.path, name)) as [string, string];
  await writeFile(open, "public", { mode: 0o644 });
  await writeFile(secret, "private", { mode: 0o600 });
  const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  resources.defer(() => void server.close());
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const [memory = ""] = /\d+/.exec(execFileSync("ipcmk", ["-M", "4096", "-p", "0600"], { encoding: "utf8" })) ?? [];
  resources.defer(() => void execFileSync("ipcrm", ["-m", memory]));
  aim = JSON.stringify({ public: open, private: secret, pid: process.pid, port, memory: Number(memory) });
});
afterAll(() => resources.disposeAsync());

/** Programs with rights, a file that they are tried on, and a device. */
async function hostileEntries(): Promise<TarFields[]> {
  const content = readFileSync(await fileOfImage("python", "usr/bin/cat"));
  // struct vfs_cap_data, revision 2, effective: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
  const capability = Buffer.from(Uint32Array.of(0x02000001, 0b110, 0, 0, 0).buffer);
  return [
    { name: "shipped/private", content: "private", mode: 0o600 },
    { name: "shipped/zero", type: "3", device: [1, 5], mode: 0o666 },
    { name: "shipped/kernel-log", type: "3", device: [1, 11], mode: 0o666 },
    { name: "shipped/set-user-id", content, mode: 0o4755 },
    { name: "shipped/capable", content, mode: 0o755, pax: { "SCHILY.xattr.security.capability": capability } },
  ];
}

/** Attacks that get through to either user where some layers are turned off. */
async function getsThrough(names: readonly string[]): Promise<string[]> {
  const lines = new Set((await attack(names, ATTACKS)).split("\n"));
  return ATTACK_NAMES.filter((name) => lines.has(name));
}

/**
 * Runs a program in weakened containers, as either user. @returns what it printed
 * @param launcher a program that runs another one, as env(1)
 */
async function attack(names: readonly string[], program: string, launcher: readonly string[] = ["env"]) {
  const [first = "", ...words] = launcher;
  const { stdout, stderr } = await promisify(execFile)(
    first,
    [...words, process.execPath, "--import", weakened("hooks.ts"), weakened("run.ts"), layer, program, aim],
    { env: { ...process.env, WEAKENINGS: JSON.stringify(names) }, encoding: "utf8" },
  );
  expect(stderr).toBe("");
  return stdout;
}

const names = Object.keys(weakenings) as WeakeningName[];

test("nothing gets through where everything is as it is", async () => {
  expect(await getsThrough([])).toEqual([]);
});

test("every attack gets through where nothing stands in its way, so that to fail says something", async () => {
  // What a program's file capabilities are good for ends with the user namespace that they are of.
  const inside = await getsThrough(names.filter((name) => name !== "the user namespace"));
  const seen = new Set([...inside, ...(await getsThrough(names)), ...Object.values(GETS_THROUGH).flat()]);
  expect(ATTACK_NAMES.filter((name) => !seen.has(name))).toEqual([]);
});

test.for(names)("without %s everything else holds", async (name) => {
  expect(await getsThrough([name])).toEqual(GETS_THROUGH[name]);
});

const OPEN_FOR_WRITING = `
try: open("/shipped/kernel-log", "wb").close(); print("opened")
except OSError as error: print(error.strerror)`;

test.each(ClosedUnit.versions)(
  "without nodev on mounts a unit of cgroup v%d that is closed holds devices",
  async (version) => {
    expect(await attack(["nodev on mounts"], OPEN_FOR_WRITING)).toBe("opened\n".repeat(2));
    using unit = ClosedUnit.open(version);
    expect(await attack(["nodev on mounts"], OPEN_FOR_WRITING, unit.launcher)).toBe(
      "Operation not permitted\n".repeat(2),
    );
  },
);

describe("of what gets through where everything is off,", () => {
  let open: readonly string[];
  beforeAll(async () => void (open = await getsThrough(names)));

  test.for(names)("%s holds its part by itself", async (name) => {
    const others = await getsThrough(names.filter((other) => other !== name));
    expect(open.filter((attack) => !others.includes(attack))).toEqual(HOLDS_ALONE[name]);
  });
});

test("SECURITY.md says the same", () => {
  const page = readFileSync(join(import.meta.dirname, "../../SECURITY.md"), "utf8");
  const rows = [...page.matchAll(/^\| (.+?) +\| (.+?) +\|$/gm)].map(([, ...cells]) => cells);
  const list = (attacks: readonly string[]): string => attacks.join(", ") || "nothing";
  expect(rows).toEqual(expect.arrayContaining(names.map((name) => [name, list(GETS_THROUGH[name])])));
  const items = page.split(/\n(?=- |\n)/).map((item) => item.replaceAll(/\s+/g, " "));
  expect(items).toEqual(expect.arrayContaining(names.map((name) => `- ${name}: ${list(HOLDS_ALONE[name])}`)));
});
