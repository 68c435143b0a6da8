/** What a program reaches through /proc, /sys and /dev, and through the ids of other processes. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Target } from "./target.ts";

let target: Target;
beforeAll(async () => {
  target = await Target.open();
});
afterAll(() => target[Symbol.asyncDispose]());

/** Prints which of its arguments it can open in a mode, and how they begin. */
function opens(mode: "r" | "r+" | "w"): string {
  return `
import sys
for path in sys.argv[1:]:
    try:
        with open(path, "${mode}b", buffering=0) as file: print(path, "${mode}" != "r" or file.read(16))
    except OSError: pass`;
}

/** A file that every program can open: the others are not missing because nothing is found. */
const CONTROL = "/dev/null";

/** What a program can open of these, line by line. */
async function opened(mode: "r" | "r+" | "w", paths: readonly string[]): Promise<string[]> {
  const output = await target.output({ language: "python", source: opens(mode), arguments: [CONTROL, ...paths] });
  const [control, ...others] = output.trimEnd().split("\n");
  expect(control?.split(" ")[0]).toBe(CONTROL);
  return others;
}

describe("a program", () => {
  test("changes nothing about the kernel", async () => {
    const settings = [
      ...["kernel/core_pattern", "kernel/hostname", "kernel/modprobe", "kernel/randomize_va_space", "kernel/panic"],
      ...["kernel/ns_last_pid", "vm/drop_caches", "vm/overcommit_memory", "fs/suid_dumpable", "net/ipv4/ip_forward"],
    ].map((name) => `/proc/sys/${name}`);
    const before = readFileSync("/proc/sys/kernel/core_pattern", "utf8");
    const others = ["/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/proc/mtrr", "/proc/bus/input/devices"];
    const cgroups = ["/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/release_agent", "/sys/kernel/uevent_helper"];
    const paths = [...settings, ...others, ...cgroups];
    expect(await opened("w", paths)).toEqual([]);
    expect(readFileSync("/proc/sys/kernel/core_pattern", "utf8")).toBe(before);
  });

  test("reads nothing of the machine's memory, disks, keys, and of what other programs do", async () => {
    const files = [
      "kcore",
      "kmsg",
      "keys",
      "key-users",
      "locks",
      "interrupts",
      "timer_list",
      "sched_debug",
      "kallsyms",
      "vmallocinfo",
    ];
    const devices = ["mem", "kmsg", "port", "sda", "vda", "tty", "console", "fuse", "kvm", "net/tun", "loop-control"];
    const paths = [
      ...files.map((name) => `/proc/${name}`),
      ...devices.map((name) => `/dev/${name}`),
      "/sys/kernel/notes",
    ];
    // What is masked is there, and empty.
    expect((await opened("r", paths)).filter((line) => !line.endsWith(" b''"))).toEqual([]);
  });

  test("gets at nothing of init's, whose program it did not start", async () => {
    const inits = (...names: string[]) => names.map((name) => `/proc/1/${name}`);
    const secrets = inits(
      "mem",
      "environ",
      "maps",
      "exe",
      "root/etc/passwd",
      "cwd/etc/passwd",
      "fd/0",
      "auxv",
      "stack",
    );
    expect(await opened("r", secrets)).toEqual([]);
    const controls = inits("mem", "exe", "oom_score_adj", "comm", "clear_refs", "attr/current", "uid_map", "setgroups");
    expect(await opened("r+", controls)).toEqual([]);
  });

  test("does not make itself hard to kill, nor its own program another one", async () => {
    const paths = ["oom_score_adj", "oom_adj", "uid_map", "gid_map", "setgroups", "exe"].map(
      (name) => `/proc/self/${name}`,
    );
    expect(await opened("r+", paths)).toEqual([]);
  });

  test("sees and signals no process but its own", async () => {
    const source = `
import os, sys
pids = [*range(1, 70_000), int(sys.argv[1])]
for pid in pids:
    try: os.kill(pid, 0); print(pid, "is mine" if pid == os.getpid() else "can be killed")
    except PermissionError: print(pid, "is there")
    except ProcessLookupError: pass
print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [1, os.getpid()])`;
    const output = await target.output({ language: "python", source, arguments: [String(target.workerPid)] });
    expect(output).toBe("1 is there\n2 is mine\nTrue\n");
  });
});
