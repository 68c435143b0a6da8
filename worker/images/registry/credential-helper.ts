/**
 * Programs named `docker-credential-NAME` that keep credentials, in a keyring or a cloud's account: a server's name
 * goes to their stdin, JSON comes from their stdout (https://github.com/docker/docker-credential-helpers).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as z from "zod";
import type { Credentials } from "./credentials.ts";
import { RegistryError } from "./registry-error.ts";

const answer = z.object({ Username: z.string(), Secret: z.string() });

/** A helper may ask a cloud, or a person; then it has failed. Milliseconds. */
const TIMEOUT_MS = 60_000;
/** Longest answer, in bytes: tokens of clouds are some kilobytes. */
const LONGEST_ANSWER = 256 * 1024;

/** Said on stdout, with exit code 1, by every helper that knows no credentials for a server. */
const NOT_FOUND = /credentials not found/i;
/** A `Username` that says that the `Secret` is an identity token. */
const TOKEN_USERNAME = "<token>";

/**
 * Asks a helper for the credentials of one server.
 * @param name the part after `docker-credential-`
 * @returns undefined when it has none
 * @throws {RegistryError} when it is not installed, or fails; what it printed may be a secret, and is not quoted
 */
export async function askCredentialHelper(
  name: string,
  server: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  const child = spawn(program, ["get"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...environment },
  });
  // Closing the pipe too: what the helper has started may hold its other end.
  const end = () => {
    child.kill("SIGKILL");
    child.stdout.destroy();
  };
  const timeout = setTimeout(end, TIMEOUT_MS);
  // A helper that ends without reading makes this EPIPE; its exit code tells more.
  child.stdin.on("error", () => undefined);
  child.stdin.end(server);
  const chunks: Buffer[] = [];
  let bytes = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LONGEST_ANSWER) end();
    else chunks.push(chunk);
  });
  try {
    await once(child, "close");
  } catch (error) {
    throw new RegistryError(`${program} cannot be run: install it, or correct credHelpers and credsStore of docker`, {
      cause: error,
    });
  } finally {
    clearTimeout(timeout);
  }

  const output = Buffer.concat(chunks).toString();
  if (child.exitCode !== 0) {
    if (child.exitCode === 1 && NOT_FOUND.test(output)) return undefined;
    throw new RegistryError(
      `${program} ended with ${child.signalCode ?? `exit code ${child.exitCode}`} when asked for ${server}: try it by hand`,
    );
  }
  let found: z.infer<typeof answer>;
  try {
    found = answer.parse(JSON.parse(output));
  } catch {
    throw new RegistryError(`${program} printed something else than credentials when asked for ${server}`);
  }
  if (found.Username === TOKEN_USERNAME) return { kind: "identity", token: found.Secret };
  return { kind: "password", username: found.Username, password: found.Secret };
}
