/** That a layer comes out as it went in, and that what overlayfs makes of several is what umoci makes of them. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ImageStore, type StoredImage } from "../../../worker/images/store.ts";
import { listTree } from "../../support/file-tree.ts";
import { layerOf } from "../../support/layer-sources.ts";
import { listMerged } from "../../support/merged-tree.ts";
import { tarArchive } from "../../support/tar.ts";
import { importImageOfUmoci, makeImageByUmoci, unpackByUmoci } from "../../support/umoci.ts";

const run = promisify(execFile);

/** A bit of everything that a layer may hold. */
const LOWER = String.raw`
  mkdir -p bin etc/skel etc/deep/er tmp "odd name" replaced emptied
  chmod 1777 tmp; chown 1000:65535 etc/skel; chmod 2750 etc/skel
  echo hello >etc/motd; chmod 4755 etc/motd; touch -d '2001-02-03 04:05:06.123456789' etc/motd
  ln etc/motd etc/hard; ln -s ../../../etc/passwd etc/absolute; ln -s /etc/motd bin/link; ln bin/link bin/hardlink-of-a-link
  mkfifo -m 622 etc/pipe; mknod -m 666 etc/null c 1 3; mknod -m 640 etc/disk b 8 17
  head -c 300000 /dev/zero >etc/zeros; : >etc/empty
  echo ping >bin/ping; setcap cap_net_raw,cap_setuid+ep bin/ping
  setfattr -n user.note -v 'some thing' bin/ping; setfattr -n user.note -v dir etc/skel; setfattr -n user.empty etc/empty
  setfattr -n trusted.overlay.redirect -v /etc/shadow etc/deep
  printf x >"odd name/$(printf 'caf\351')"; printf x >"odd name/new
line"; printf x >"$(head -c 255 /dev/zero | tr '\0' n)"
  for i in 1 2 3; do echo $i >replaced/$i; echo $i >emptied/$i; echo $i >etc/deep/er/$i; done
  touch -h -d '1970-01-01 00:00:01' bin/link; touch -d '1969-12-31 23:59:58.5' etc/deep; touch -d @1 etc/skel .
`;

/** Changes, as layers say them. */
const UPPER = String.raw`
  mkdir -p etc/deep/er emptied replaced
  : >etc/.wh.motd; : >etc/deep/er/.wh.2; : >emptied/.wh..wh..opq; echo new >emptied/new
  : >.wh.replaced; echo only >replaced/only; : >etc/.wh.pipe; echo regular >etc/pipe
  touch -d @5 etc etc/deep etc/deep/er emptied replaced .
`;

let directory: string;
let store: ImageStore;
let image: StoredImage;

async function makeTree(name: string, script: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  await run("sh", ["-euc", script], { cwd: path });
  await run("tar", [
    "--create",
    "--file",
    `${path}.tar`,
    "--format=posix",
    "--xattrs",
    "--xattrs-include=*",
    "--numeric-owner",
    "--sort=name",
    "--directory",
    path,
    ".",
  ]);
  return path;
}

/** Makes an image of two layers with umoci, and adds what umoci wrote. */
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "longshore-unpack-"));
  await makeTree("lower", LOWER);
  await makeTree("upper", UPPER);
  const layout = join(directory, "oci");
  await makeImageByUmoci(layout, [join(directory, "lower.tar"), join(directory, "upper.tar")]);
  store = await ImageStore.open(join(directory, "images"));
  image = await importImageOfUmoci(store, layout);
});

afterAll(async () => {
  await rm(directory, { recursive: true });
});

describe("an unpacked layer", () => {
  it("has every file as it was: content, owner, mode, time, links, devices, attributes", () => {
    expect(listTree(image.layers[0]?.path ?? "")).toEqual(listTree(join(directory, "lower")));
  });

  it("has nothing of what overlayfs would take for its own", async () => {
    const { stdout } = await run("getfattr", [
      "--recursive",
      "--no-dereference",
      "--match=trusted",
      "--dump",
      image.layers[0]?.path ?? "",
    ]);
    expect(stdout).toBe("");
  });

  it("is there for root only", async () => {
    const { stdout } = await run("setpriv", [
      "--reuid=1000",
      "--regid=1000",
      "--clear-groups",
      "sh",
      "-c",
      `ls ${image.layers[0]?.path} 2>&1 || true`,
    ]);
    expect(stdout).toMatch(/Permission denied/);
  });

  it("stacks to what umoci unpacks, file by file", async () => {
    const unpacked = await unpackByUmoci(join(directory, "oci"), join(directory, "bundle"));
    const mountPoint = join(directory, "merged");
    await mkdir(mountPoint);
    const ours = await listMerged(image.lowerDirs, mountPoint);
    // Go's archive/tar drops attributes without a value; GNU tar and we keep them.
    expect(ours.map((line) => line.replace(" user.empty=", ""))).toEqual(listTree(unpacked));
    expect(ours.map((line) => line.split(" ")[0])).not.toContain("/etc/motd");
  });
});

describe("the attributes of directories", () => {
  it("are theirs although files come into them later, and those of implied ones are the same for everybody", async () => {
    const tar = tarArchive(
      { name: "a/", type: "5", mtime: 100, mode: 0o700 },
      { name: "a/b/", type: "5", mtime: 200, mode: 0o2770, uid: 7, gid: 8 },
      { name: "c/d/file", mtime: 1 },
      { name: "a/b/file" },
      { name: "a/file" },
      { name: "c/", type: "5", mtime: 300 },
      { name: "a/b/.wh.gone" },
      { name: "a/", type: "5", mtime: 400, mode: 0o711 },
    );
    await using addition = await store.beginAddition();
    const { path } = await addition.addLayer(layerOf(tar));
    const lines = listTree(path).filter((line) => line.includes(" directory "));
    expect(lines).toEqual([
      "/ directory 755 0:0 0",
      "/a directory 711 0:0 400000000000",
      "/a/b directory 2770 7:8 200000000000",
      "/c directory 644 0:0 300000000000",
      "/c/d directory 755 0:0 0",
    ]);
    expect(listTree(path)).toContain("/a/b/file e3b0c44298fc1c14 644 0:0 1000000000000000000");
  });
});

describe("whiteouts", () => {
  it("speak of the layers below only, in whatever order the layer lists them", async () => {
    const tar = tarArchive(
      ...[{ name: ".wh.file" }, { name: "file", content: "new" }],
      ...[{ name: "later", content: "new" }, { name: ".wh.later" }],
      ...[{ name: ".wh.directory" }, { name: "directory/", type: "5" }, { name: "directory/x" }],
      ...[{ name: "after/", type: "5" }, { name: "after/x" }, { name: ".wh.after" }],
      ...[{ name: ".wh.link" }, { name: "link", type: "2", linkName: "x" }],
      { name: "implied/.wh..wh..opq" },
    );
    await using addition = await store.beginAddition();
    const { path } = await addition.addLayer(layerOf(tar));
    const lines = listTree(path).map((line) => line.replaceAll(/ \d+ \d+:\d+ \d+/g, ""));
    const opaque = "trusted.overlay.opaque=79";
    expect(lines).toEqual([
      "/ directory",
      `/after directory ${opaque}`,
      "/after/x e3b0c44298fc1c14",
      `/directory directory ${opaque}`,
      "/directory/x e3b0c44298fc1c14",
      "/file 11507a0e2f5e69d5",
      `/implied directory ${opaque}`,
      "/later 11507a0e2f5e69d5",
      "/link symlink to x",
    ]);
  });
});
