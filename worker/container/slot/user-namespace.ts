import { closeSync, openSync, writeFileSync } from "node:fs";
import { CLONE, PR, SIGNAL } from "../../linux/constants.ts";
import { Pipe } from "../../linux/pipe.ts";
import { ChildProcess, PollSet } from "../../linux/process.ts";
import { SlotSteps } from "../interpret.ts";
import { flags, NULL, string } from "../plan/arguments.ts";
import { type Step, writeSteps } from "../plan/step.ts";
import { Launch } from "./launcher.ts";

/** Ids of one slot: 0 to 65535 inside, as many as a `nobody` of 65534 needs. */
export const IDS_PER_SLOT = 65_536;

/** Capabilities stay when ids change: prctl(2), capabilities(7). */
const PR_SET_SECUREBITS = { kind: "constant", value: 28, text: "PR_SET_SECUREBITS" } as const;
const NO_SETUID_FIXUP = { kind: "constant", value: 1 << 2, text: "SECBIT_NO_SETUID_FIXUP" } as const;
const UNCHANGED = { kind: "constant", value: 0xffffffff, text: "-1" } as const;

/** Making a namespace takes microseconds; a machine that needs longer than this is broken. */
const PATIENCE_MS = 10_000;

/**
 * Makes the user namespace of a slot and returns its descriptor. A process has to be in it while its id maps are
 * written; the descriptor then keeps it alive alone.
 *
 * All containers of a slot use the same one, one after the other. It holds nothing that a container could leave to the
 * next: keyrings are refused by the seccomp filter, counts (ucounts) belong to processes that are gone.
 *
 * It is the slot's own root's and not the machine's: what is counted for each user (instances of inotify, 128 of them;
 * pending signals; bytes of message queues) counts for the owner of a namespace, too, user_namespaces(7), and the machine's
 * root, or another slot, would have that much less.
 */
export function openUserNamespace(idBase: number): number {
  const steps: Step[] = [];
  const step = writeSteps(steps, "launcher", "user ids");
  step("prctl", PR_SET_SECUREBITS, NO_SETUID_FIXUP);
  step("setresuid", UNCHANGED, idBase, UNCHANGED);
  // Not before: a process that changes its ids forgets it (PR_SET_PDEATHSIG(2const)).
  step("prctl", flags(PR, "PR_SET_PDEATHSIG"), flags(SIGNAL, "SIGKILL"));
  step("unshare", flags(CLONE, "CLONE_NEWUSER"));
  step("write", 1, string("."), 1);
  step("ppoll", NULL, 0, NULL, NULL, 0);

  using ready = Pipe.open();
  using nothing = new SlotSteps();
  using devNull = new DisposableStack();
  const stdin = devNull.adopt(openSync("/dev/null", "r"), closeSync);
  using launch = new Launch(steps, { stdin, stdout: ready.writeEnd, stderr: stdin }, nothing);
  ready.closeWriteEnd();
  // Its end is that of this function: the namespace then lives on by its descriptor alone.
  using _child = new ChildProcess(launch.pid);
  const poll = new PollSet(1);
  const answer = poll.add(ready.readEnd);
  poll.wait(PATIENCE_MS);
  const failure = launch.inspect().failure;
  if (failure !== undefined || !poll.isReady(answer)) {
    throw new Error(`cannot make a user namespace (errno ${failure?.errno ?? "none"}): see longshore doctor`);
  }
  for (const map of ["uid_map", "gid_map"]) writeFileSync(`/proc/${launch.pid}/${map}`, `0 ${idBase} ${IDS_PER_SLOT}`);
  return openSync(`/proc/${launch.pid}/ns/user`, "r");
}
