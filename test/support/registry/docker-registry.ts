/** Debian's docker-registry, a real one, on a free port of 127.0.0.1 with a directory of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** A running registry; `await using` ends it and removes its images. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`, as in a reference. */
  readonly host: string;
  /** What it has answered by its own log, oldest first; a request is logged just after its answer. */
  readonly log: readonly LoggedRequest[];
}

/** A line of a registry's log. */
export interface LoggedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly status: number;
}

/** Who may use it; anybody unless stated. */
export type RegistryAccess =
  | { readonly kind: "htpasswd"; readonly line: string }
  /** Tokens signed by a token server, whose certificate this is. */
  | { readonly kind: "token"; readonly realm: string; readonly service: string; readonly certificate: string };

export async function startRegistry(access?: RegistryAccess): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), "longshore-registry-"));
  const file = join(directory, "config.json");
  // JSON is YAML. Port 0: the kernel chooses, the log tells.
  const configuration = {
    version: 0.1,
    log: { level: "info" },
    storage: { filesystem: { rootdirectory: join(directory, "data") }, delete: { enabled: true } },
    http: { addr: "127.0.0.1:0", secret: "of this test" },
    ...(access && { auth: await authOf(access, directory) }),
  };
  await writeFile(file, JSON.stringify(configuration));
  const child = spawn("docker-registry", ["serve", file], { stdio: ["ignore", "pipe", "pipe"] });
  const log: LoggedRequest[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    // The common log format of Apache.
    const [, method, url, status] = /"([A-Z]+) (\S+) HTTP\/1\.1" (\d{3}) /.exec(line) ?? [];
    if (method !== undefined && url !== undefined) log.push({ method, url, status: Number(status) });
  });
  const lines: string[] = [];
  const host = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`docker-registry ended at its start:\n${lines.join("\n")}`)));
    createInterface({ input: child.stderr }).on("line", (line) => {
      lines.push(line);
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
  return {
    host,
    log,
    async [Symbol.asyncDispose]() {
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function authOf(access: RegistryAccess, directory: string): Promise<object> {
  const path = join(directory, "auth");
  switch (access.kind) {
    case "htpasswd":
      await writeFile(path, `${access.line}\n`);
      return { htpasswd: { realm: "test", path } };
    case "token": {
      const { realm, service, certificate } = access;
      await writeFile(path, certificate);
      return { token: { realm, service, issuer: "test", rootcertbundle: path } };
    }
    default:
      return access satisfies never;
  }
}
