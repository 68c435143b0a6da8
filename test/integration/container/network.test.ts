import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestSlot, text } from "../../support/container.ts";

/** Two slots, as a program and its helper have them. */
let one: TestSlot;
let other: TestSlot;
beforeAll(async () => {
  one = await TestSlot.open();
  other = await TestSlot.open("python", {}, 1);
});
afterAll(async () => {
  await one[Symbol.asyncDispose]();
  await other[Symbol.asyncDispose]();
});

const PORT = 7000;

const server = `
import socket
with socket.create_server(("127.0.0.1", ${PORT})) as listener:
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100)[::-1])`;

/** Tries until somebody listens, for as long as its limit lets it. */
const client = `
import socket
while True:
    try:
        with socket.create_connection(("127.0.0.1", ${PORT})) as connection:
            connection.sendall(b"olleh")
            print(connection.recv(100).decode())
            break
    except ConnectionRefusedError:
        pass`;

const interfaces = "print([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]])";

describe("containers that join a network", () => {
  it("talk to each other over its loopback", async () => {
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    const [served, asked] = await Promise.all([one.python(server, joined), other.python(client, joined)]);
    expect(served).toMatchObject({ outcome: "exited", exitCode: 0 });
    expect(text(asked.stdout)).toBe("hello\n");
  });

  it("find nothing else in it, and nobody who has not joined finds them", async () => {
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    expect(text((await other.python(interfaces, joined)).stdout)).toBe("['lo']\n");
    const serving = one.python(server, joined);
    const refused = await other.python(client, { limits: { wallTimeMs: 500 } });
    expect(refused.outcome).toBe("wall_limit");
    expect(text((await other.python(client, joined)).stdout)).toBe("hello\n");
    expect(await serving).toMatchObject({ exitCode: 0 });
  });

  it("leave the network to those that come after them, and a slot's next container gets its own", async () => {
    const link = "import os; print(os.readlink('/proc/self/ns/net'))";
    using network = await one.slot.openNetwork();
    const joined = { network: { kind: "join", descriptor: network.descriptor } } as const;
    const first = text((await one.python(link, joined)).stdout);
    expect(text((await one.python(link, joined)).stdout)).toBe(first);
    expect(text((await one.python(link)).stdout)).not.toBe(first);
    using another = await one.slot.openNetwork();
    const elsewhere = { network: { kind: "join", descriptor: another.descriptor } } as const;
    expect(text((await one.python(link, elsewhere)).stdout)).not.toBe(first);
  });
});
