import { describe, expect, test } from "vitest";
import { defaultSeccompProfile } from "../../../worker/container/seccomp/profile.ts";
import { seccompProfileSchema } from "../../../worker/container/seccomp/schema.ts";

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;
const NAMESPACE_FLAGS = 0x7e020000;

/** Rules for one system call. */
function rulesFor(name: string) {
  return defaultSeccompProfile.syscalls.filter((rule) => rule.names.includes(name));
}

/**
 * What the profile answers to a call with these arguments: the actions of all rules that hold, or the default.
 * Conditions on different arguments have to hold together, those on one and the same are alternatives.
 */
function answers(name: string, values: Readonly<Record<number, bigint>> = {}): string[] {
  const matching = rulesFor(name).filter(({ args = [] }) => {
    const held = args.map(({ index, op, value, valueTwo = 0 }) => {
      const actual = values[index] ?? 0n;
      switch (op) {
        case "SCMP_CMP_EQ":
          return actual === BigInt(value);
        case "SCMP_CMP_LT":
          return actual < BigInt(value);
        case "SCMP_CMP_GE":
          return actual >= BigInt(value);
        case "SCMP_CMP_MASKED_EQ":
          return (actual & BigInt(value)) === BigInt(valueTwo);
        default:
          throw new Error(`the profile does not use ${op} so far: teach it to this test`);
      }
    });
    const areTogether = new Set(args.map(({ index }) => index)).size === args.length;
    return areTogether ? !held.includes(false) : held.includes(true);
  });
  const found = new Set(
    matching.map((rule) => (rule.action === "SCMP_ACT_ALLOW" ? "allow" : `errno ${rule.errnoRet}`)),
  );
  return found.size === 0 ? [`errno ${defaultSeccompProfile.defaultErrnoRet}`] : [...found];
}

describe("the default profile", () => {
  test("denies by default, with the error of a call that does not exist", () => {
    expect(defaultSeccompProfile.defaultAction).toBe("SCMP_ACT_ERRNO");
    expect(defaultSeccompProfile.defaultErrnoRet).toBe(ENOSYS);
  });

  test("says of every group what it is for, and lists its names in order", () => {
    for (const rule of defaultSeccompProfile.syscalls) {
      expect(rule).toHaveProperty("comment", expect.stringMatching(/\w{3}/));
      expect(rule.names).toEqual([...new Set(rule.names)].toSorted());
    }
  });

  test.each([
    ..."unshare setns chroot pivot_root mount umount2 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr".split(
      " ",
    ),
    ..."bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register".split(" "),
    ..."keyctl add_key request_key ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd".split(
      " ",
    ),
    ..."kexec_load kexec_file_load init_module finit_module delete_module reboot syslog iopl ioperm modify_ldt".split(
      " ",
    ),
    ..."open_by_handle_at name_to_handle_at fanotify_init fanotify_mark quotactl quotactl_fd swapon swapoff acct".split(
      " ",
    ),
    ..."settimeofday clock_settime adjtimex clock_adjtime lookup_dcookie vhangup nfsservctl sethostname".split(" "),
  ])("refuses %s with EPERM", (name) => {
    expect(answers(name)).toEqual([`errno ${EPERM}`]);
  });

  test("answers clone3 with ENOSYS, so that C libraries fall back to clone", () => {
    expect(answers("clone3")).toEqual([`errno ${ENOSYS}`]);
  });

  test("lets clone make processes and threads, and refuses each CLONE_NEW flag, whatever else is asked for", () => {
    const SIGCHLD = 17n;
    const CLONE_VM_VFORK = 0x4100n;
    const threadFlags = 0x3d0f00n;
    expect(answers("clone", { 0: SIGCHLD })).toEqual(["allow"]);
    expect(answers("clone", { 0: CLONE_VM_VFORK | SIGCHLD })).toEqual(["allow"]);
    expect(answers("clone", { 0: threadFlags })).toEqual(["allow"]);
    for (let bit = 0; bit < 32; bit++) {
      if (((NAMESPACE_FLAGS >>> bit) & 1) === 0) continue;
      expect(answers("clone", { 0: (1n << BigInt(bit)) | SIGCHLD })).toEqual([`errno ${EPERM}`]);
      expect(answers("clone", { 0: (1n << BigInt(bit)) | threadFlags | (1n << 40n) })).toEqual([`errno ${EPERM}`]);
    }
  });

  test("opens sockets of three families and answers EAFNOSUPPORT to all others", () => {
    const allowed = new Set([1n, 2n, 10n]);
    for (const family of [...Array.from({ length: 64 }, (_, index) => BigInt(index)), (1n << 32n) | 1n]) {
      expect(answers("socket", { 0: family })).toEqual([allowed.has(family) ? "allow" : `errno ${EAFNOSUPPORT}`]);
      expect(answers("socketpair", { 0: family })).toEqual([family === 1n ? "allow" : `errno ${EAFNOSUPPORT}`]);
    }
  });

  test("refuses ioctls of terminals that type, and of sockets that load modules, whatever the upper bits, and no other", () => {
    const ENOPKG = 65;
    const refused: Record<string, bigint[]> = {};
    for (let command = 0n; command < 0x10000n; command++) {
      const upper = command % 3n === 0n ? 0x1_8004_0000n : 0n;
      const found = answers("ioctl", { 1: upper | command });
      // One where nothing is in dispute.
      const answer = found.join(" or ");
      if (answer !== "allow") (refused[answer] ??= []).push(command);
    }
    expect(refused).toEqual({
      [`errno ${EPERM}`]: [0x5412n, 0x541cn],
      [`errno ${ENOPKG}`]: [0x8940n, 0x8941n, 0x8982n, 0x8983n, 0x89a0n, 0x89a1n, 0x89a2n, 0x89a3n],
    });
    expect(answers("ioctl", { 1: 0x1_0000_5412n })).toEqual([`errno ${EPERM}`]);
  });

  test("refuses filters and core scheduling to prctl, and no other option that there is, whatever the upper bits", () => {
    const PR_SET_SECCOMP = 22n;
    const PR_SCHED_CORE = 62n;
    const refused: bigint[] = [];
    const [PR_SET_PTRACER, PR_SET_VMA, PR_GET_AUXV] = [0x59616d61n, 0x53564d41n, 0x41555856n];
    const options = [
      ...Array.from({ length: 128 }, (_, index) => BigInt(index)),
      PR_SET_PTRACER,
      PR_SET_VMA,
      PR_GET_AUXV,
    ];
    for (const option of options) {
      const upper = option % 2n === 0n ? 1n << 32n : 0n;
      const found = answers("prctl", { 0: upper | option });
      if (found.includes("errno 22")) refused.push(option);
      expect(found).toHaveLength(1);
      expect(answers("prctl", { 0: option })).toEqual(found);
    }
    expect(refused).toEqual([PR_SET_SECCOMP, PR_SCHED_CORE]);
  });

  test("sets options of sockets, IP, UDP, TCP, IPv6 and ICMPv6, but none for which modules are loaded, whatever the upper bits", () => {
    const ENOPROTOOPT = 92;
    const [SOL_SOCKET, SOL_TCP, others] = [1n, 6n, [0n, 17n, 41n, 58n]];
    const upper = 1n << 32n;
    const option = 7n;
    const levels = Array.from({ length: 300 }, (_, level) => BigInt(level));
    const allowed = levels.filter((level) => answers("setsockopt", { 1: upper | level, 2: option })[0] === "allow");
    expect(allowed).toEqual([...others.slice(0, 1), SOL_TCP, ...others.slice(1)]);
    expect(answers("setsockopt", { 1: SOL_SOCKET, 2: option })).toEqual(["allow"]);
    // linux/tcp.h: TCP_MD5SIG, TCP_ULP, TCP_MD5SIG_EXT, TCP_AO_ADD_KEY to TCP_AO_REPAIR.
    const refused = [14, 31, 32, 38, 39, 40, 41, 42];
    for (let number = 1; number < 48; number++) {
      const expected = refused.includes(number) ? `errno ${ENOPROTOOPT}` : "allow";
      for (const high of [0n, upper]) {
        expect(answers("setsockopt", { 1: high | SOL_TCP, 2: high | BigInt(number) })).toEqual([expected]);
      }
    }
  });

  test("leaves the limit of core dumps as it is, whatever the upper bits, and lets it be asked for", () => {
    const RLIMIT_CORE = 4n;
    const address = 0x7fff_0000_0000n;
    for (let resource = 0n; resource < 16n; resource++) {
      const set = resource === RLIMIT_CORE ? ["errno 0"] : ["allow"];
      for (const upper of [0n, 1n << 32n]) {
        expect(answers("setrlimit", { 0: upper | resource, 1: address })).toEqual(set);
        expect(answers("prlimit64", { 1: upper | resource, 2: address })).toEqual(set);
        expect(answers("prlimit64", { 1: upper | resource, 2: 0n })).toEqual(["allow"]);
      }
    }
  });

  test("has nobody write out the machine's files", () => {
    expect(answers("sync")).toEqual(["errno 0"]);
  });

  test("allows what init and the program still need once the filter is attached", () => {
    const names =
      "fork wait4 kill setsid setgroups setresgid setresuid capset prctl prlimit64 dup3 close_range chdir fchdir " +
      "execve clock_gettime write exit_group";
    for (const name of names.split(" ")) expect(answers(name)).toEqual(["allow"]);
  });
});

/** A document with these rules. */
function profile(...syscalls: readonly unknown[]) {
  return { defaultAction: "SCMP_ACT_ERRNO", syscalls };
}

describe("the schema of profiles", () => {
  const allow = { names: ["read"], action: "SCMP_ACT_ALLOW" };
  const onOne = [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }];

  test("takes rules on different arguments of one system call", () => {
    const other = { names: ["read"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 2, op: "SCMP_CMP_EQ" }] };
    expect(seccompProfileSchema.safeParse(profile({ ...allow, args: onOne }, other)).success).toBe(true);
  });

  test.each([
    ["two unconditional rules", profile(allow, { ...allow, action: "SCMP_ACT_ERRNO" })],
    ["an unconditional rule before a conditional one", profile(allow, { ...allow, args: onOne })],
    ["a conditional rule before an unconditional one", profile({ ...allow, args: onOne }, allow)],
    [
      "a condition that always holds beside another",
      profile(
        { ...allow, args: onOne },
        { ...allow, args: [{ index: 0, value: 0, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] },
      ),
    ],
    ["an unknown action", profile({ ...allow, action: "SCMP_ACT_MAYBE" })],
    ["an unknown field", profile({ ...allow, includes: { caps: ["CAP_SYS_ADMIN"] } })],
    ["a seventh argument", profile({ ...allow, args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] })],
    ["a rule without names", profile({ ...allow, names: [] })],
  ])("refuses %s", (_, candidate) => {
    expect(seccompProfileSchema.safeParse(candidate).success).toBe(false);
  });
});
