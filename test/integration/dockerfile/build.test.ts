/** Steps, stages and the cache of a build, and the image that comes of it. */
import { readdirSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeLayer } from "../../../worker/images/layer-tar.ts";
import { Builder, outputOf, treeOf } from "./builder.ts";
import { filesIn, ownerOf, read, topOf } from "./built-image.ts";

let builder: Builder;
beforeAll(async () => {
  builder = await Builder.open();
});
afterAll(() => builder[Symbol.asyncDispose]());

describe("RUN", () => {
  it("runs in a container, and what it changes is a layer with the ids of the image", async () => {
    const { image, events } = await builder.buildText(`
FROM debian
USER root
RUN id -u; touch /opt/a; chown 33:44 /opt/a; chmod 4755 /opt/a; ln /opt/a /opt/b; rm /etc/issue; mv /etc/skel /etc/skeleton
`);
    expect(outputOf(events)).toEqual(["0"]);
    expect(ownerOf(image, "opt/a")).toBe("33:44 4755");
    expect(ownerOf(image, "opt/b")).toBe("33:44 4755");
    using tree = treeOf(image);
    expect(tree.lookUp("etc", "issue")).toBeUndefined();
    expect(tree.lookUp("etc", "skel")).toBeUndefined();
    expect(tree.list("etc/skeleton")).toContain(".bashrc");
    expect(image.config.rootfs.diff_ids.at(-1)).toBe((await describeLayer(topOf(image))).diffId);
  });

  it("leaves nothing of the container's own files and mount points in the layer", async () => {
    const { image, events } = await builder.buildText(`
FROM debian
USER root
RUN echo 10.0.0.1 db >>/etc/hosts; echo x >/etc/resolv.conf; touch /dev/shm/a /tmp/a; rm /tmp/a
RUN mkdir /opt/kept
`);
    const base = await builder.buildText("FROM debian");
    expect(image.layers).toHaveLength(base.image.layers.length + 1);
    expect(filesIn(topOf(image))).toEqual(["opt", "opt/kept"]);
    expect(image.config.history?.slice(-2)).toMatchObject([
      { empty_layer: true },
      { created_by: "RUN mkdir /opt/kept" },
    ]);
    expect(events.filter(({ kind }) => kind === "warning")).toEqual([]);
  });

  it("has a shell form, an exec form, documents, a user by name, and no network unless it is given", async () => {
    const { events } = await builder.buildText(`
FROM python
RUN ["python3", "-c", "print('exec form')"]
RUN <<EOF
echo document of the shell
tail -n +3 /proc/net/dev | grep -o "[a-z0-9]*:"
EOF
RUN <<EOF
#!/usr/bin/env python3
print("document of python")
EOF
USER root:tty
RUN id -nu; id -ng; echo $HOME
USER 1000
WORKDIR /opt/new
RUN pwd; stat -c %U .; touch mine
`);
    expect(outputOf(events)).toEqual([
      "exec form",
      "document of the shell",
      "lo:",
      "document of python",
      "root",
      "tty",
      "/work",
      "/opt/new",
      "sandbox",
    ]);
  });

  it("has the groups of its user that the image's own files say, as Docker gives them", async () => {
    const { events } = await builder.buildText(`
FROM debian
USER root
RUN echo 'first:x:2001:sandbox,other' >>/etc/group; echo 'second:x:2002:other,sandbox' >>/etc/group; echo 'third:x:2003:other' >>/etc/group
USER sandbox
RUN id -G
USER sandbox:first
RUN id -G
`);
    expect(outputOf(events)).toEqual(["1000 2001 2002", "2001"]);
  });

  it("cannot make what lies outside of its layer, nor what stands for something else in it", async () => {
    const outside = join(builder.directory, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "hosts"), "the host's own");
    const link = `FROM debian\nUSER root\nRUN mv /etc /old && ln -s ${outside} /etc`;
    expect((await builder.buildText(link)).image.layers.length).toBeGreaterThan(1);
    expect(await readFile(join(outside, "hosts"), "utf8")).toBe("the host's own");
    const whiteout = builder.buildText("FROM debian\nRUN touch /work/.wh.x");
    await expect(whiteout).rejects.toThrow(/Dockerfile:2: what the step wrote cannot be a layer: it has a file named/);
  });

  it("that fails names the line, how the command ended and what it printed last", async () => {
    const failing = builder.buildText(`FROM debian\n\nRUN echo first; echo last >&2; exit 3`);
    await expect(failing).rejects.toThrow(/Dockerfile:3: the command ended with exit code 3\n {2}first\n {2}last$/);
    await expect(builder.buildText("FROM debian\nRUN kill -KILL $$")).rejects.toThrow(/ended with signal SIGKILL/);
    await expect(builder.buildText('FROM debian\nRUN ["/nothing"]')).rejects.toThrow(/ended with exit code 127/);
    await expect(builder.buildText("FROM debian\nUSER nobody-of-that-name\nRUN true")).rejects.toThrow(
      /Dockerfile:3: user nobody-of-that-name is not in the image's \/etc\/passwd/,
    );
  });

  it("ends when the build is aborted, and leaves nothing in the store", async () => {
    const controller = new AbortController();
    const context = await builder.context({ Dockerfile: "FROM debian\nRUN echo up; exec tail -f /dev/null" });
    const build = builder.build(context, {
      signal: controller.signal,
      onEvent: (event) => event.kind === "output" && controller.abort(new Error("enough")),
    });
    await expect(build).rejects.toThrow("enough");
    expect(readdirSync(join(builder.store.directory, "staging"))).toEqual([]);
  });
});

describe("stages", () => {
  it("start from each other, copy from each other, and are built only when they are needed", async () => {
    const text = `
FROM debian AS tools
USER root
RUN mkdir /out && echo made >/out/file && chown 12:13 /out/file && ln -s file /out/link

FROM tools AS unused
RUN false

FROM scratch
COPY --from=tools /out/ /
COPY --from=0 /out/link /followed
COPY --from=debian /etc/debian_version /etc/passwd /etc/
`;
    const { image, events } = await builder.buildText(text);
    expect(image.layers).toHaveLength(3);
    expect(await read(image, "file")).toBe("made\n");
    expect(ownerOf(image, "file")).toBe("12:13 644");
    expect(await read(image, "followed")).toBe("made\n");
    expect(await read(image, "etc/debian_version")).toMatch(/^12\./);
    expect(events.flatMap((event) => (event.kind === "step" ? [event.text] : []))).not.toContain(
      "FROM tools AS unused",
    );
    const target = await builder.buildText(text, {}, { target: "tools" });
    expect(await read(target.image, "out/file")).toBe("made\n");
  });
});

describe("the cache", () => {
  const cachedSteps = (events: readonly { kind: string }[]): number =>
    events.filter(({ kind }) => kind === "cached").length;

  it("makes the same image of the same build, without a step", async () => {
    const context = await builder.context({
      Dockerfile: "FROM debian\nUSER root\nRUN date +%N >/n\nCOPY a /a\n",
      a: "1",
    });
    const first = await builder.build(context);
    const second = await builder.build(context);
    expect(second.image.digest).toBe(first.image.digest);
    expect(cachedSteps(second.events)).toBe(2);

    const anew = await builder.build(context, { cache: "ignored" });
    expect(anew.image.digest).not.toBe(first.image.digest);
    expect(cachedSteps(anew.events)).toBe(0);
  });

  it("misses where content, arguments or what is below changed", async () => {
    const context = await builder.context({
      Dockerfile: "FROM debian\nUSER root\nARG A=1\nCOPY a /a\nRUN echo $A >/argument\n",
      a: "1",
    });
    const given = (value: string) => ({ arguments: new Map([["A", value]]) });
    await builder.build(context);
    const other = await builder.build(context, given("2"));
    expect(cachedSteps(other.events)).toBe(1);
    expect(await read(other.image, "argument")).toBe("2\n");
    expect(cachedSteps((await builder.build(context, given("1"))).events)).toBe(2);
    await writeFile(join(context, "a"), "2");
    expect(cachedSteps((await builder.build(context)).events)).toBe(0);
  });

  it("does not know proxies", async () => {
    const context = await builder.context({ Dockerfile: "FROM debian\nUSER root\nRUN echo $http_proxy >/proxy\n" });
    const proxy = (value: string) => ({ arguments: new Map([["http_proxy", value]]) });
    const { image } = await builder.build(context, proxy("http://one"));
    expect(await read(image, "proxy")).toBe("http://one\n");
    expect(JSON.stringify(image.config)).not.toContain("http://one");
    expect(cachedSteps((await builder.build(context, proxy("http://two"))).events)).toBe(1);
  });
});

describe("an image from a Dockerfile", () => {
  it("is a valid one: named, with a history that accounts for its layers", async () => {
    const { image } = await builder.buildText(
      `FROM scratch\nMAINTAINER me\nCOPY <<a /\na\nENV A=1\nENTRYPOINT ["/a"]\nHEALTHCHECK NONE\n`,
      {},
      { names: ["one:1", "two"] },
    );
    for (const name of ["one:1", "two"]) expect((await builder.store.resolve(name))?.digest).toBe(image.digest);
    expect(image.config).toMatchObject({
      author: "me",
      os: "linux",
      config: { Env: ["A=1"], Entrypoint: ["/a"], Healthcheck: { Test: ["NONE"] } },
    });
    const { history = [], rootfs } = image.config;
    expect(history.filter(({ empty_layer: empty }) => empty !== true)).toHaveLength(rootfs.diff_ids.length);
    expect(image.manifest.layers.map(({ digest }) => digest)).toEqual(rootfs.diff_ids);
  });

  it("cannot be built from what is not there", async () => {
    await expect(builder.buildText("FROM no-such-image")).rejects.toThrow(
      /Dockerfile:1: image no-such-image is not here/,
    );
  });
});
