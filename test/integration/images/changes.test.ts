/** From what a container wrote to a layer: nothing of the runtime's, nothing of this host's, and no way out of the tree. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { settleInThread } from "../../../worker/images/changes/pool.ts";
import { packLayer } from "../../../worker/images/layer-tar.ts";
import { ImageStore } from "../../../worker/images/store.ts";
import { listXattrs, readXattr } from "../../../worker/linux/xattr.ts";
import { listTree } from "../../support/file-tree.ts";
import { layerOf } from "../../support/layer-sources.ts";

const run = promisify(execFile);

const ID_BASE = 3_100_000_000;

/** An access control list that lets user 1 in: linux/posix_acl_xattr.h, a version, then tag, permissions, and id. */
const ACL = [
  "0x02000000",
  "01000600ffffffff",
  "0200070001000000",
  "04000400ffffffff",
  "10000700ffffffff",
  "20000400ffffffff",
].join("");

let directory: string;
let upper: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-changes-"));
  upper = join(directory, "upper");
  await mkdir(upper);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** What a container might have written, as seen from the host. */
async function write(script: string): Promise<void> {
  const environment = { ...process.env, BASE: String(ID_BASE), USER_ID: String(ID_BASE + 1000), ACL };
  await run("bash", ["-euc", script], { cwd: upper, env: environment });
}

const settle = (options: { readonly runtimeDirectories?: readonly string[]; readonly bytesMax?: number } = {}) =>
  settleInThread({ directory: upper, idBase: ID_BASE, ...options });

/** Paths of what is left, sorted. */
const left = (): string[] => listTree(upper).flatMap((line) => /^\/(\S+)/.exec(line)?.[1] ?? []);

describe("what a container wrote", () => {
  it("loses the files and mount points that the runtime put there, and nothing else", async () => {
    await write(`mkdir -p etc dev/shm proc sys tmp run work/data/volume opt/volume/kept
      echo x >etc/hosts; mknod etc/hostname c 0 0; mkdir -p etc/resolv.conf/deep; echo x >etc/resolv.conf/deep/file
      echo x >run/kept`);
    const runtimeDirectories = ["/work/data/volume", "/opt/volume", "/none"];
    expect(await settle({ runtimeDirectories })).toEqual({ kind: "changed" });
    expect(left()).toEqual(["opt", "opt/volume", "opt/volume/kept", "run", "run/kept"]);
  });

  it("is unchanged where only the runtime wrote", async () => {
    await write("mkdir -p etc proc data; echo x >etc/hosts; touch -d @5 .");
    expect(await settle({ runtimeDirectories: ["/data"] })).toEqual({ kind: "unchanged" });
    expect(listTree(upper)[0]).toContain(" 5000000000");
  });

  it("takes nothing away through a symbolic link, wherever it leads", async () => {
    const host = join(directory, "host");
    await mkdir(join(host, "shm"), { recursive: true });
    await writeFile(join(host, "hosts"), "the host's own");
    await write(`ln -s ${host} etc; ln -s ${host} dev; ln -s / run`);
    expect(await settle({ runtimeDirectories: ["/dev/shm", "/etc"] })).toEqual({ kind: "changed" });
    expect((await readdir(host)).toSorted()).toEqual(["hosts", "shm"]);
    expect(await readFile(join(host, "hosts"), "utf8")).toBe("the host's own");
    expect(left()).toEqual(["dev", "etc", "run"]);
  });

  it("has the ids that the container saw, with set-id bits, and as many names", async () => {
    await write(`touch a; chown $USER_ID:$((BASE + 65534)) a; chmod 6755 a; ln a b; chmod 1777 .; chown $BASE:$BASE .
      ln -s /nothing c; chown -h $USER_ID:$USER_ID c`);
    await settle();
    const lines = listTree(upper).map((line) => line.replace(/ [0-9a-f]{16} /, " file ").replace(/ \d{19}/, ""));
    expect(lines).toEqual([
      "/ directory 1777 0:0",
      "/a file 6755 1000:65534",
      "/b file 6755 1000:65534 link to /a",
      "/c symlink to /nothing 777 1000:1000",
    ]);
  });

  it("keeps attributes of users, and capabilities without a user namespace; no other attribute, and no socket", async () => {
    await write(`touch a; setfattr -n user.note -v x a; setfattr -n user.overlay.opaque -v y a; setfattr -n trusted.x -v y a
      setfattr -n system.posix_acl_access -v "$ACL" a
      mkdir d; setfattr -n trusted.overlay.opaque -v y d; setfattr -n trusted.overlay.origin -v y d
      setfattr -n trusted.overlay.opaque -v y a
      cp "/bin/true" p; setcap -n $BASE cap_net_raw+ep p; chown $USER_ID p; setcap -n $BASE cap_net_raw+ep p
      perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, pack_sockaddr_un("s")) or die'`);
    expect(readXattr(join(upper, "p"), "security.capability")).toHaveLength(24);
    expect(await settle()).toEqual({ kind: "changed" });
    expect(listXattrs(join(upper, "a"))).toEqual(["user.note"]);
    expect(listXattrs(join(upper, "d"))).toEqual(["trusted.overlay.opaque"]);
    // struct vfs_cap_data: version 2 with the effective flag, then permitted and inheritable, lower and upper half.
    expect(readXattr(join(upper, "p"), "security.capability")?.toString("hex")).toBe(
      ["01000002", "00200000", "00000000", "00000000", "00000000"].join(""),
    );
    expect(left()).toEqual(["a", "d", "p"]);
  });

  it("is refused with names that a layer gives another meaning, and beyond its size, holes included", async () => {
    await write("mkdir d; truncate -s 1M d/a; ln d/a b");
    expect(await settle({ bytesMax: 1024 * 1024 })).toEqual({ kind: "changed" });
    expect(await settle({ bytesMax: 1024 * 1024 - 1 })).toMatchObject({ kind: "refused", reason: /holes included/ });
    await write(String.raw`touch $'d/.wh.\e]0;title\a'`);
    const refused = await settle();
    await write("rm d/.wh.*; cd d; for i in {1..256}; do mkdir d; cd d; done");
    expect(await settle()).toMatchObject({ kind: "refused", reason: /deeper than 256/ });
    expect(refused).toMatchObject({ kind: "refused", reason: /\.wh\.\\u001b]0;title\\u0007/ });
  });
});

describe("the tar of a layer", () => {
  it("holds every name as it is, and any number of deletions, so that it unpacks to the same", async () => {
    await write(String.raw`
      mkdir -p -- etc $'caf\351' $'new\nline' ' -C' '*' '--help'
      for name in etc/one etc/two $'etc/caf\351' $'new\nline/new\nline' '*/*' '[a]' ' -C/-T'; do mknod -- "$name" c 0 0; done
      for name in etc/kept $'caf\351/\377\1' $'new\nline/kept' '--help/x' 'a]' '#x' 'trailing '; do echo x >"$name"; done
      setfattr -n trusted.overlay.opaque -v y $'caf\351'; setfattr -n user.note -v x etc/kept
      ln etc/kept etc/link; mkfifo etc/pipe
      find . -exec touch -h -d @7 {} +`);
    const tar = await buffer(Readable.from(packLayer(upper)));
    const store = await ImageStore.open(join(directory, "images"));
    await using addition = await store.beginAddition();
    // A device 0:0 in a tar would be refused.
    const { path } = await addition.addLayer(layerOf(tar));
    expect(listTree(path).map(withoutTimeOfDeletion)).toEqual(listTree(upper).map(withoutTimeOfDeletion));
  });
});

/** A tar has no time of a deletion. */
function withoutTimeOfDeletion(line: string): string {
  return line.replace(/(character device 0:0) .*/s, "$1");
}
