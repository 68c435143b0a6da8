import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open();
});
afterAll(() => slot[Symbol.asyncDispose]());

async function output(script: string, changes: Parameters<TestSlot["bash"]>[1] = {}): Promise<string> {
  const { stdout, stderr } = await slot.bash(script, changes);
  return `${text(stdout)}${text(stderr)}`;
}

describe("the root file system", () => {
  it("shows every file to belong to ids of the container's own", async () => {
    expect(await output("stat -c '%u %g %n' / /etc /etc/passwd /usr/bin/bash /work")).toBe(
      "0 0 /\n0 0 /etc\n0 0 /etc/passwd\n0 0 /usr/bin/bash\n1000 1000 /work\n",
    );
  });

  it("has hosts, hostname and resolv.conf of the init layer", async () => {
    expect(await output("cat /etc/hosts /etc/hostname /etc/resolv.conf; hostname")).toMatch(
      /localhost longshore\n.*\nlongshore\n# no network\nlongshore\n$/,
    );
    expect(await output("hostname")).not.toContain(hostname());
  });

  it("forgets what a container wrote", async () => {
    await slot.bash("echo secret > /tmp/left; echo secret > /dev/shm/left; echo secret > /work/left");
    expect(await output("ls /tmp /dev/shm /work")).not.toContain("left");
  });

  it("can be written to where its user may, and nowhere when it is read-only but in /work, /tmp and /dev/shm", async () => {
    const root = { user: { uid: 0, gid: 0 } };
    const script = "for d in /work /tmp /dev/shm /usr /etc /; do touch $d/x 2> /dev/null && echo $d; done; true";
    expect(await output(script)).toBe("/work\n/tmp\n/dev/shm\n");
    expect(await output(script, root)).toBe("/work\n/tmp\n/dev/shm\n/usr\n/etc\n/\n");
    expect(await output(script, { ...root, rootfs: "readonly" })).toBe("/work\n/tmp\n/dev/shm\n");
    expect(await output(script, { rootfs: "readonly" })).toBe("/work\n/tmp\n/dev/shm\n");
  });

  it("holds nothing of the host's", async () => {
    expect(await output("ls -a /")).not.toMatch(/lost\+found|oldroot/);
    const mounts = await output("cut -d' ' -f 5,9- /proc/self/mountinfo");
    expect(mounts.split("\n").map((line) => line.split(" ")[0])).toEqual(
      expect.arrayContaining(["/", "/proc", "/dev", "/dev/shm"]),
    );
    expect(mounts).not.toContain("/sys");
  });
});

describe("/proc and /dev", () => {
  it("have no entry that tells about the host's processes", async () => {
    expect(await output("ls /proc | grep '^[0-9]' | wc -l")).toMatch(/^[3-6]\n$/);
  });

  it("hide what the kernel tells everyone about the machine", async () => {
    for (const path of ["/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/kallsyms"]) {
      expect(await output(`test -e ${path} || exit 0; wc -c < ${path}`), path).toMatch(/^(0\n)?$/);
    }
  });

  it("cannot be written to, even by root inside", async () => {
    const user = { uid: 0, gid: 0 };
    for (const path of [
      "/proc/sys/kernel/hostname",
      "/proc/self/oom_score_adj",
      "/dev/x",
      "/proc/sys/kernel/core_pattern",
    ]) {
      expect(await output(`echo x > ${path}`, { user }), path).toMatch(/Read-only file system|Permission denied/);
    }
  });

  it("have the devices that programs need, and no others", async () => {
    expect(await output("ls /dev")).toBe("fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\nurandom\nzero\n");
    const use =
      "echo x > /dev/null && head -c 3 /dev/zero | od -An -c && head -c 8 /dev/urandom | wc -c; echo x > /dev/full";
    expect(await output(use)).toMatch(/\\0 {2}\\0 {2}\\0\n8\n.*No space left/);
    expect(await output("mknod /tmp/sda b 8 0", { user: { uid: 0, gid: 0 } })).toContain("Operation not permitted");
  });
});

describe("namespaces", () => {
  it("are all others than the worker's", async () => {
    const list = async () => (await output("for n in /proc/self/ns/*; do readlink $n; done")).split("\n");
    const { readlinkSync, readdirSync } = await import("node:fs");
    const own = readdirSync("/proc/self/ns").map((name) => readlinkSync(`/proc/self/ns/${name}`));
    const shared = (await list()).filter((namespace) => own.includes(namespace));
    // A time namespace would only offset clocks.
    expect(shared.filter((namespace) => !namespace.startsWith("time"))).toEqual([]);
  });

  it("give the network a loopback that is up, and nothing else", async () => {
    const program = `
import socket
print([line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]])
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); print("connected")
try: socket.create_connection(("192.0.2.1", 80), timeout=1)
except OSError as e: print(e.strerror)`;
    expect(text((await slot.python(program)).stdout)).toBe("['lo']\nconnected\nNetwork is unreachable\n");
  });

  it("make the container's cgroup the root of what it sees", async () => {
    expect(await output("cat /proc/self/cgroup")).not.toContain("longshore");
  });
});

describe("privileges", () => {
  it("are none: no capability, no new ones, a filter, an id that is nobody outside", async () => {
    for (const user of [
      { uid: 1000, gid: 1000 },
      { uid: 0, gid: 0 },
    ]) {
      const status = await output("cat /proc/self/status", { user });
      for (const set of ["Inh", "Prm", "Eff", "Bnd", "Amb"]) expect(status).toContain(`Cap${set}:\t0000000000000000`);
      expect(status).toContain("NoNewPrivs:\t1");
      expect(status).toContain("Seccomp:\t2");
      expect(status).toContain(`Uid:\t${user.uid}\t${user.uid}\t${user.uid}\t${user.uid}`);
    }
  });

  it("are not gained through a set-user-id program", async () => {
    expect(await output("stat -c %A /usr/bin/su; su -c id < /dev/null")).not.toContain("uid=0");
  });

  it("leave init alone: it can be neither killed, traced nor looked into", async () => {
    const user = { uid: 0, gid: 0 };
    expect(await output("kill -KILL 1; sleep 0.1; echo alive", { user })).toContain("alive");
    expect(await output("cat /proc/1/environ /proc/1/mem; ls /proc/1/fd /proc/1/cwd/", { user })).toMatch(
      /Permission denied/,
    );
    expect(await output("readlink /proc/1/exe; readlink /proc/1/root", { user })).toBe("");
  });

  it("do not come with a descriptor of the worker's", async () => {
    expect(await output("ls -l /proc/self/fd | grep -v ' -> /proc/'")).toMatch(
      /^total 0\n.* 0 -> \/dev\/null\n.* 1 -> pipe:.*\n.* 2 -> pipe:.*\n$/,
    );
  });
});
