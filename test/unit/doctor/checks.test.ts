import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkDisk } from "../../../worker/doctor/disk.ts";
import { checkKernel } from "../../../worker/doctor/kernel.ts";
import { checkPrivileges } from "../../../worker/doctor/privileges.ts";
import { checkSystemCalls } from "../../../worker/doctor/system-calls.ts";
import { checkUserNamespaces } from "../../../worker/doctor/user-namespaces.ts";

describe("the doctor", () => {
  it.each([
    ["6.1.0-28-amd64", "ok"],
    ["6.18.44", "ok"],
    ["5.15.0-91-generic", "degraded"],
  ])("takes linux %s as %s", (version, status) => {
    expect(checkKernel(version).status).toBe(status);
  });

  it("names the capabilities that are not there", () => {
    expect(checkPrivileges("CapEff:\t000001ffffffffff\n").status).toBe("ok");
    // Docker's default set: no CAP_SYS_ADMIN, CAP_SYS_PTRACE or CAP_NET_ADMIN.
    const finding = checkPrivileges("CapEff:\t00000000a80425fb\n");
    expect(finding).toMatchObject({
      status: "missing",
      detail: "without CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_SYS_ADMIN",
    });
  });

  it("tells a system call that is not there from one that is refused", () => {
    const [EPERM, EINVAL, ENOSYS] = [-1, -22, -38];
    expect(checkSystemCalls(() => EINVAL).status).toBe("ok");
    const old = checkSystemCalls((name) => (name === "mount_setattr" ? ENOSYS : EINVAL));
    expect(old).toMatchObject({ status: "missing", detail: "not there: mount_setattr (linux 5.12)" });
    const filtered = checkSystemCalls((name) => (name === "fsopen" ? EPERM : EINVAL));
    expect(filtered).toMatchObject({ status: "missing", detail: "refused: fsopen" });
  });

  it("tells user namespaces that the kernel lacks from those that the administrator forbids", async () => {
    await using proc = await mkdtempDisposable(join(tmpdir(), "longshore-proc-"));
    expect(checkUserNamespaces(proc.path).detail).toBe("not in this kernel");
    await mkdir(join(proc.path, "sys/user"), { recursive: true });
    await writeFile(join(proc.path, "sys/user/max_user_namespaces"), "0\n");
    expect(checkUserNamespaces(proc.path).detail).toBe("user.max_user_namespaces is 0");
    await writeFile(join(proc.path, "sys/user/max_user_namespaces"), "15000\n");
    expect(checkUserNamespaces(proc.path).status).toBe("ok");
  });

  it("looks at the disk of a data directory that does not exist yet", () => {
    expect(checkDisk("/var/lib/no-such-directory/data").detail).toMatch(
      /GiB free under \/var\/lib\/no-such-directory\/data$/,
    );
  });
});
