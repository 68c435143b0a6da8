import { spawn } from "node:child_process";
import { once } from "node:events";

/** mke2fs is not on every user's PATH. */
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

/** Runs a command that has to succeed; it dies with this process. What it prints is shown if it fails. */
export async function runCommand(command: string, words: readonly string[]): Promise<void> {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH },
  });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output.push(chunk));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  if (code !== 0) throw new Error(`${command} ended with ${signal ?? code}:\n${Buffer.concat(output).toString()}`);
}
