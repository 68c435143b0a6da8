import { mkdir, mkdtempDisposable, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LayeredTree } from "../../../worker/images/tree/layered-tree.ts";
import { resolveOwner, resolveUser } from "../../../worker/images/tree/users.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/sh
app:x:500:600:An app:/home/app:/bin/sh
homeless:x:7:7:::
huge:x:70000:1::/:
hugegroup:x:8:70000::/:
signed:x:-1:0::/:
empty:x:::/:
70001:x:9:9::/:
`;
const GROUP = `root:x:0:
staff:x:50:app,other
audio:x:29:other, app
video:x:44:homeless,app
own:x:600:app
wide:x:70000:homeless
`;

let layer: Awaited<ReturnType<typeof mkdtempDisposable>>;
let outside: Awaited<ReturnType<typeof mkdtempDisposable>>;
beforeEach(async () => {
  layer = await mkdtempDisposable(join(tmpdir(), "longshore-users-"));
  outside = await mkdtempDisposable(join(tmpdir(), "longshore-outside-"));
  await mkdir(join(layer.path, "etc"));
  await writeFile(join(layer.path, "etc/passwd"), PASSWD);
  await writeFile(join(layer.path, "etc/group"), GROUP);
});
afterEach(async () => {
  await layer.remove();
  await outside.remove();
});

function resolve(text: string) {
  using tree = new LayeredTree([layer.path]);
  return resolveUser(tree, text);
}

describe("a user", () => {
  it.each([
    ["", { uid: 0, gid: 0, groups: [], home: "/root" }],
    ["root", { uid: 0, gid: 0, groups: [], home: "/root" }],
    // Without a group: that of the user, and those that list it.
    ["app", { uid: 500, gid: 600, groups: [50, 44], home: "/home/app" }],
    ["500", { uid: 500, gid: 600, groups: [50, 44], home: "/home/app" }],
    // With a group: only that.
    ["app:staff", { uid: 500, gid: 50, groups: [], home: "/home/app" }],
    ["500:1", { uid: 500, gid: 1, groups: [], home: "/home/app" }],
    ["65535:65535", { uid: 65_535, gid: 65_535, groups: [], home: "/" }],
    // A number that is nobody's: group 0, as in Docker.
    ["1234", { uid: 1234, gid: 0, groups: [], home: "/" }],
  ])("named %j is found with its groups and its home", (text, expected) => {
    expect(resolve(text)).toEqual(expected);
  });

  it.each([
    ["nobody", "user nobody is not in the image's /etc/passwd"],
    ["app:nothing", "group nothing is not in the image's /etc/group"],
    ["65536", "the id 65536 is not from 0 to 65535, which is all that a container has"],
    ["0:65536", "the id 65536 is not from 0 to 65535, which is all that a container has"],
    ["99999999999999999999", "the id 99999999999999999999 is not from 0 to 65535, which is all that a container has"],
    ["huge", 'the id "70000" of huge is not from 0 to 65535, which is all that a container has'],
    ["hugegroup", 'the id "70000" of hugegroup is not from 0 to 65535, which is all that a container has'],
    ["homeless", 'the id "70000" of wide is not from 0 to 65535, which is all that a container has'],
    // What is no number is not taken for root's.
    ["signed", 'the id "-1" of signed is not from 0 to 65535, which is all that a container has'],
    ["empty", 'the id "" of empty is not from 0 to 65535, which is all that a container has'],
    ["app:", '"app:" is neither a user nor user:group'],
    [":staff", '":staff" is neither a user nor user:group'],
    ["app:staff:x", '"app:staff:x" is neither a user nor user:group'],
    ["-1", "user -1 is not in the image's /etc/passwd"],
    ["0x10", "user 0x10 is not in the image's /etc/passwd"],
    ["app ", "user app  is not in the image's /etc/passwd"],
    ["70001", "the id 70001 is not from 0 to 65535, which is all that a container has"],
  ])("named %j is refused", (text, message) => {
    expect(() => resolve(text)).toThrow(message);
  });

  it("is looked up through the image's own links, which lead nowhere else", async () => {
    await writeFile(join(outside.path, "passwd"), "mine:x:1:1::/:\n");
    await mkdir(join(layer.path, outside.path), { recursive: true });
    await writeFile(join(layer.path, outside.path, "passwd"), "mine:x:42:42::/:\n");
    await symlink(`../../../../../..${outside.path}`, join(layer.path, "up"));
    await truncate(join(layer.path, "etc/passwd"));
    await mkdir(join(layer.path, "elsewhere"));
    await symlink("../up/passwd", join(layer.path, "elsewhere/passwd"));
    using tree = new LayeredTree([layer.path, await layerWithLink("/elsewhere/passwd")]);
    expect(resolveUser(tree, "mine")).toMatchObject({ uid: 42, gid: 42 });
  });

  it("is not looked for in what is no table, or too large a one", async () => {
    using circle = new LayeredTree([layer.path, await layerWithLink("passwd")]);
    expect(() => resolveUser(circle, "app")).toThrow("too many symbolic links in /etc/passwd");
    using maze = new LayeredTree([layer.path, await layerWithLink(`${"../etc/".repeat(580)}passwd`)]);
    expect(() => resolveUser(maze, "app")).toThrow("the way to /etc/passwd is too long");
    using directory = new LayeredTree([layer.path, await layerWithLink("/")]);
    expect(() => resolveUser(directory, "app")).toThrow("user app is not in the image's /etc/passwd");
    await truncate(join(layer.path, "etc/passwd"), 1024 * 1024 + 1);
    expect(() => resolve("app")).toThrow("the image's /etc/passwd is larger than 1048576 bytes");
  });
});

it("an owner without a group owns with the group of the same number", () => {
  using tree = new LayeredTree([layer.path]);
  expect(resolveOwner(tree, "500")).toEqual({ uid: 500, gid: 500 });
  expect(resolveOwner(tree, "app")).toEqual({ uid: 500, gid: 600 });
  expect(resolveOwner(tree, "1:2")).toEqual({ uid: 1, gid: 2 });
});

/** A layer whose /etc/passwd is a link. */
async function layerWithLink(target: string): Promise<string> {
  const path = join(outside.path, `layer-${Math.random().toString(36).slice(2)}`);
  await mkdir(join(path, "etc"), { recursive: true });
  await symlink(target, join(path, "etc/passwd"));
  return path;
}
