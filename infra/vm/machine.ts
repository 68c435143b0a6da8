import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Writable } from "node:stream";

/** What a machine is for. */
export interface MachineTask {
  /** Directory of the system, as system.ts makes it. */
  readonly system: string;
  /** The disk that images.ts makes. */
  readonly images: string;
  /** Shown to the machine, which cannot change it. */
  readonly projectDirectory: string;
  readonly command: readonly string[];
  /** Gets what the machine prints, as it does; it is left open. */
  readonly output: Writable;
  readonly timeLimitMs: number;
}

/** How a machine ended. */
export type MachineEnding =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "timed out" }
  /** The kernel panicked, or QEMU could not start it. */
  | { readonly kind: "broken" };

/** A kernel takes no more (COMMAND_LINE_SIZE of x86). */
const KERNEL_COMMAND_LINE_MAX = 2047;
/** Port of the device that ends QEMU; written to by guest.sh. */
const DEBUG_EXIT = "isa-debug-exit,iobase=0xf4,iosize=0x04";

/**
 * Emulated in software: runs wherever QEMU does, also inside a virtual machine. The machine's processors take turns on
 * one thread. With a thread for each, QEMU (7.2 at least) may go on running what it translated from code that another
 * processor has overwritten since: stale-code.c shows it. Node strips types in WebAssembly, whose code V8 replaces while
 * other threads run it: of 72 processes that did no more than that 6 crashed, and none of 40 with one thread.
 */
const ACCELERATOR = "tcg,thread=single";

/** Boots a machine, streams its console, and waits for its end. It dies with this process. */
export async function runMachine(task: MachineTask): Promise<MachineEnding> {
  const child = spawn(
    "setpriv",
    [
      ...["--pdeathsig", "KILL", "qemu-system-x86_64"],
      ...["-accel", ACCELERATOR, "-cpu", "max", "-smp", "2", "-m", "2G"],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"],
      ...["-device", DEBUG_EXIT],
      ...["-kernel", join(task.system, "vmlinuz"), "-initrd", join(task.system, "initrd.img")],
      ...["-append", kernelCommandLine(task.command)],
      // What the machine writes is in files that QEMU has unlinked already.
      ...[join(task.system, "root.ext4"), task.images].flatMap((disk) => [
        "-drive",
        `file=${disk},format=raw,if=virtio,snapshot=on`,
      ]),
      ...["-virtfs", `local,path=${task.projectDirectory},mount_tag=project,security_model=none,readonly=on`],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  child.stdout.pipe(task.output, { end: false });
  const timeLimit = AbortSignal.timeout(task.timeLimitMs);
  const kill = (): void => void child.kill("SIGKILL");
  timeLimit.addEventListener("abort", kill);
  const [code] = (await once(child, "close")) as [number | null];
  timeLimit.removeEventListener("abort", kill);
  if (timeLimit.aborted) return { kind: "timed out" };
  // guest.sh writes N+1, of which isa-debug-exit makes 2(N+1)+1; QEMU's own exit codes are 0 and 1.
  return code !== null && code >= 3 && code % 2 === 1 ? { kind: "exited", status: (code - 3) / 2 } : { kind: "broken" };
}

/**
 * The words after `--` are process 1's; each is percent-encoded, since spaces and quotes do not survive.
 *
 * An emulated processor does not speculate: what the kernel does against that is a twelfth of the emulator's time.
 */
function kernelCommandLine(command: readonly string[]): string {
  const kernel = "console=ttyS0 quiet root=/dev/vda rw panic=-1 mitigations=off init=/sbin/longshore-init";
  const line = [kernel, "--", ...command.map(encodeURIComponent)].join(" ");
  if (line.length > KERNEL_COMMAND_LINE_MAX)
    throw new RangeError("the command is too long for a kernel: put it in a script");
  return line;
}
