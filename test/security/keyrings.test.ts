import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestSlot, text } from "../support/container.ts";

let slot: TestSlot;
beforeAll(async () => {
  slot = await TestSlot.open();
});
afterAll(() => slot[Symbol.asyncDispose]());

/** Tries each way to a keyring, among them the session's, which a process has from its parent; prints what came of it. */
const ATTEMPTS = `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
ADD_KEY, REQUEST_KEY, KEYCTL = 248, 249, 250
GET_KEYRING_ID, JOIN_SESSION_KEYRING, SEARCH, READ = 0, 1, 10, 11
THREAD, PROCESS, SESSION, USER, USER_SESSION = -1, -2, -3, -4, -5
attempts = [(KEYCTL, JOIN_SESSION_KEYRING, None), (REQUEST_KEY, b"user", b"name", None, 0)]
for ring in (THREAD, PROCESS, SESSION, USER, USER_SESSION):
    attempts += [(ADD_KEY, b"user", b"name", b"secret", 6, ring), (KEYCTL, GET_KEYRING_ID, ring, 1),
                 (KEYCTL, SEARCH, ring, b"user", b"name", 0), (KEYCTL, READ, ring, None, 0)]
for attempt in attempts:
    result = libc.syscall(*attempt)
    print(result, errno.errorcode.get(ctypes.get_errno()))`;

describe("keyrings, which no namespace divides,", () => {
  it.each([1000, 0])("are out of reach for user %d: nothing is left there for the next container", async (id) => {
    const { stdout, stderr } = await slot.python(ATTEMPTS, { user: { uid: id, gid: id } });
    expect(text(stderr)).toBe("");
    expect(text(stdout)).toBe("-1 EPERM\n".repeat(22));
  });

  it("show none of the machine's keys by another way", async () => {
    const { stdout } = await slot.bash("cat /proc/keys /proc/key-users 2> /dev/null | wc -c", {
      user: { uid: 0, gid: 0 },
    });
    expect(text(stdout)).toBe("0\n");
  });
});
