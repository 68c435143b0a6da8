/** What COPY and ADD bring into an image, and what they keep out. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listXattrs, readXattr } from "../../../worker/linux/xattr.ts";
import { Builder, treeOf } from "./builder.ts";
import { filesIn, ownerOf, read, topOf } from "./built-image.ts";

let builder: Builder;
beforeAll(async () => {
  builder = await Builder.open();
});
afterAll(() => builder[Symbol.asyncDispose]());

describe("COPY and ADD", () => {
  it("take files, directories and patterns, and give them to whom they name", async () => {
    const context = await builder.context({
      Dockerfile: `
FROM debian
COPY one.txt /etc/renamed
COPY --chown=sandbox:tty --chmod=0640 *.txt dir/sub/ /opt/
COPY --chown=5 dir .
ADD one.txt sub/
COPY <<EOF <<'raw' /etc/
\${HOME} "as it is"
EOF
\${HOME}
raw
`,
      "one.txt": "one",
      "two.txt": "two",
      "dir/sub/three": "three",
      "dir/.hidden": "",
    });
    await chmod(join(context, "one.txt"), 0o755);
    const { image } = await builder.build(context);
    expect(ownerOf(image, "etc/renamed")).toBe("0:0 755");
    expect(ownerOf(image, "opt/two.txt")).toBe("1000:5 640");
    expect(ownerOf(image, "opt/three")).toBe("1000:5 640");
    expect(ownerOf(image, "work/.hidden")).toBe("5:5 644");
    expect(ownerOf(image, "work/sub/three")).toBe("5:5 644");
    expect(await read(image, "work/sub/one.txt")).toBe("one");
    expect(await read(image, "etc/EOF")).toBe('/work "as it is"\n');
    expect(await read(image, "etc/raw")).toBe("${HOME}\n");
  });

  it("follow the links of the image within it, and none out of the context", async () => {
    const context = await builder.context({});
    await writeFile(
      join(context, "Dockerfile"),
      "FROM debian\nUSER root\nRUN ln -s /../../../../opt /etc/away\nCOPY file /etc/away/\nCOPY file /bin/tool\n",
    );
    await writeFile(join(context, "file"), "content");
    const { image } = await builder.build(context);
    expect(await read(image, "opt/file")).toBe("content");
    expect(await read(image, "usr/bin/tool")).toBe("content");

    await symlink("/etc/shadow", join(context, "secret"));
    await symlink("../../../../etc", join(context, "up"));
    for (const source of ["secret", "up/shadow", "../../etc/shadow", "/etc/shadow"]) {
      const text = `FROM scratch\nCOPY ${source} /x\n`;
      await writeFile(join(context, "Dockerfile"), text);
      await expect(builder.build(context)).rejects.toThrow(`Dockerfile:2: there is no ${source} in the context`);
    }
    await writeFile(join(context, "Dockerfile"), "FROM scratch\nCOPY . /\n");
    using tree = treeOf((await builder.build(context)).image);
    expect(tree.lookUp("", "secret")?.target).toBe("/etc/shadow");
  });

  it("leave out what .dockerignore says", async () => {
    const { image } = await builder.buildText("FROM scratch\nCOPY . /\n", {
      ".dockerignore": "# comment\n**/*.log\nbuild\n!build/keep\nDockerfile\n.dockerignore\n",
      "a.log": "",
      "sub/b.log": "",
      "sub/c": "",
      "build/drop": "",
      "build/keep": "",
    });
    expect(filesIn(topOf(image))).toEqual(["build", "build/keep", "sub", "sub/c"]);
    const refused = builder.buildText("FROM scratch\nCOPY a.log /\n", { ".dockerignore": "*.log", "a.log": "" });
    await expect(refused).rejects.toThrow("there is no a.log in the context: .dockerignore leaves it out");
  });

  it("unpack archives of the context when it is ADD, and only then", async () => {
    const context = await builder.context({
      Dockerfile: "FROM debian\nADD a.tar.gz a.tar.zst a.tar.xz notes.gz /opt/\nADD a.tar /bin\nCOPY a.tar /opt/\n",
      "tree/bin/tool": "tool",
      "tree/other": "other",
    });
    const shell = promisify(execFile);
    await shell("tar", [
      "-C",
      join(context, "tree"),
      "--owner=7",
      "--group=8",
      "-cf",
      join(context, "a.tar"),
      "bin",
      "other",
    ]);
    await shell("sh", ["-ec", "gzip -k a.tar; xz -k a.tar; zstd -q a.tar; echo notes | gzip >notes.gz"], {
      cwd: context,
    });
    const { image } = await builder.build(context);
    expect(ownerOf(image, "opt/bin/tool")).toBe("7:8 644");
    expect(ownerOf(image, "usr/bin/other")).toBe("7:8 644");
    expect(await read(image, "usr/bin/bin/tool")).toBe("tool");
    using tree = treeOf(image);
    expect(tree.list("opt")).toEqual(["a.tar", "bin", "notes.gz", "other"]);
  });

  it("keep extended attributes that belong to an image, of the context, of archives, and of stages", async () => {
    const context = await builder.context({
      Dockerfile:
        "FROM scratch AS one\nCOPY tree /tree/\nADD tree.tar /tar/\nFROM scratch\nCOPY --from=one --chown=7 / /\n",
    });
    const script = `mkdir tree; cp /bin/true tree/program; setcap cap_setuid,cap_net_raw+ep tree/program
      setfattr -n user.note -v file tree/program; setfattr -n trusted.other -v host tree/program
      setfattr -n user.note -v directory tree; tar -cf tree.tar --xattrs --xattrs-include='*' -C tree .`;
    await promisify(execFile)("sh", ["-euc", script], { cwd: context });
    const { image } = await builder.build(context);
    const top = topOf(image);
    const capability = readXattr(join(context, "tree/program"), "security.capability");
    for (const path of ["tree", "tar"]) {
      const program = join(top, path, "program");
      expect(listXattrs(program).toSorted()).toEqual(["security.capability", "user.note"]);
      expect(readXattr(program, "security.capability")).toEqual(capability);
    }
    expect(readXattr(join(top, "tree"), "user.note")?.toString()).toBe("directory");
    expect(ownerOf(image, "tar/program")).toBe("7:7 755");

    // What is copied is what a layer is taken from the cache by.
    await promisify(execFile)("setfattr", ["-n", "user.note", "-v", "changed", join(context, "tree/program")]);
    const changed = topOf((await builder.build(context)).image);
    expect(readXattr(join(changed, "tree/program"), "user.note")?.toString()).toBe("changed");
  });

  it("refuse archives that would do harm, and stay within the image", async () => {
    const context = await builder.context({ Dockerfile: "FROM debian\nADD evil.tar /opt/\n" });
    const make = promisify(execFile);
    await make("python3", ["-c", EVIL, join(context, "evil.tar")]);
    const { image } = await builder.build(context);
    using tree = treeOf(image);
    expect(tree.list("opt").toSorted()).toEqual(["away", "escaped"]);
    expect(await read(image, "opt/escaped")).toBe("x");
    expect(existsSync("/tmp/longshore-evil")).toBe(false);
    expect(await read(image, "tmp/longshore-evil")).toBe("x");

    await make("python3", ["-c", WHITEOUT, join(context, "evil.tar")]);
    await expect(builder.build(context)).rejects.toThrow("names that begin with .wh. stand for deletions");
  });
});

const EVIL = `
import io, sys, tarfile
with tarfile.open(sys.argv[1], "w") as tar:
    def file(name):
        info = tarfile.TarInfo(name); info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    file("../../../../escaped")
    link = tarfile.TarInfo("away"); link.type = tarfile.SYMTYPE; link.linkname = "../../../../../../tmp"
    tar.addfile(link)
    file("away/longshore-evil")
`;

const WHITEOUT = `
import sys, tarfile
with tarfile.open(sys.argv[1], "w") as tar:
    tar.addfile(tarfile.TarInfo(".wh.etc"))
`;
