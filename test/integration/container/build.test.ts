import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listXattrs } from "../../../worker/linux/xattr.ts";
import { TestSlot, text } from "../../support/container.ts";

let slot: TestSlot;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "longshore-build-"));
  slot = await TestSlot.open();
});
afterAll(async () => {
  await slot[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const root = { uid: 0, gid: 0 };

function build(kind: "none" | "host") {
  return { network: { kind }, build: { scratchDirectory: mkdtempSync(join(directory, "step-")) }, user: root };
}

describe("a step of an image build", () => {
  it("may give files to any id of the container's, and its layer stays on disk", async () => {
    const step = build("none");
    const { scratchDirectory } = step.build;
    const result = await slot.bash("touch /opt/a && chown 33:44 /opt/a && stat -c '%u %g' /opt/a", step);
    expect(text(result.stdout)).toBe("33 44\n");
    expect(readdirSync(join(scratchDirectory, "upper/opt"))).toEqual(["a"]);
    const { uid, gid } = statSync(join(scratchDirectory, "upper/opt/a"));
    expect(gid - uid).toBe(11);
    expect(uid).toBeGreaterThan(65_535);
  });

  it("may give files attributes, as packages do, where programs of jobs may not", async () => {
    const program = `
import os
open("/opt/program", "w").close()
# struct vfs_cap_data, revision 2: CAP_NET_BIND_SERVICE.
try: os.setxattr("/opt/program", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
except OSError as error: print(error.strerror)`;
    const step = build("none");
    expect(text((await slot.python(program, step)).stdout)).toBe("");
    expect(listXattrs(join(step.build.scratchDirectory, "upper/opt/program"))).toContain("security.capability");
    expect(text((await slot.python(program, { user: root })).stdout)).toBe("Operation not supported\n");
  });

  it("may use the host's network only where it was given it", async () => {
    const server = createServer((_, response) => response.end("reached"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    const program = `import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:${port}").read().decode())`;
    expect(text((await slot.python(program, build("host"))).stdout)).toBe("reached\n");
    expect(text((await slot.python(program, build("none"))).stderr)).toContain("Connection refused");
    expect(text((await slot.python(program)).stderr)).toContain("Connection refused");
    server.close();
  });

  it("has no power over the host: it cannot mount, load, trace or make devices", async () => {
    const script = "mknod /opt/sda b 8 0; unshare -m true; echo x > /proc/sysrq-trigger; grep CapEff /proc/self/status";
    const result = await slot.bash(script, build("host"));
    expect(text(result.stderr)).toMatch(/mknod: .*Operation not permitted/);
    expect(text(result.stderr)).toMatch(/unshare: .*(not permitted|not implemented)/);
    expect(text(result.stdout)).not.toContain("000001ff");
  });
});
