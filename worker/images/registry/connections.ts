/**
 * Connections for the sake of one registry: to itself, and to where it sends us.
 *
 *   URL ──▶ host ──▶ addresses ──▶ may this registry lead us there? ──▶ connect to these addresses
 *
 * A name says nothing about where it leads: whoever owns it lets it resolve to an address of this network, or to
 * another one each time it is asked for (DNS rebinding). So the address that is judged is the one that is connected to:
 * nothing resolves a name behind this.
 */
import type { LookupAddress, LookupOptions } from "node:dns";
import { lookup } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import { callbackify } from "node:util";
import { Agent, buildConnector } from "undici";
import type { Endpoint } from "./endpoint.ts";
import type { RegistryError } from "./registry-error.ts";

/** Finds the addresses of a host. */
export type Resolve = (hostname: string, options: LookupOptions) => Promise<LookupAddress[]>;

type Judge = (address: string) => RegistryError | undefined;

/**
 * Makes connections that `endpoint` does not refuse; they are kept open for further requests, for some seconds. Not to be
 * shared with another registry, which may not be allowed what this one is.
 */
export function openConnections(endpoint: Endpoint, resolve: Resolve = resolveByMachine): Agent {
  return new Agent({
    connect(options, callback) {
      const url = new URL(`${options.protocol}//${options.host ?? options.hostname}`);
      const judge: Judge = (address) => endpoint.refuse(url, address);
      // What is an address already is not looked up.
      const refusal = isIP(options.hostname) === 0 ? undefined : judge(options.hostname);
      if (refusal !== undefined) return callback(refusal, null);
      buildConnector({ lookup: judgedLookup(resolve, judge), allowH2: false })(options, callback);
    },
  });
}

async function resolveByMachine(hostname: string, options: LookupOptions): Promise<LookupAddress[]> {
  return await lookup(hostname, { ...options, all: true });
}

function judgedLookup(resolve: Resolve, judge: Judge): LookupFunction {
  const find = callbackify(async (hostname: string, options: LookupOptions) => {
    const addresses = await resolve(hostname, options);
    // One that is refused is enough: a host that is inside and outside at once is not what it seems to be.
    for (const { address } of addresses) {
      const refusal = judge(address);
      if (refusal !== undefined) throw refusal;
    }
    return addresses;
  });
  return (hostname, options, callback) =>
    find(hostname, options, (error: NodeJS.ErrnoException | null, addresses: LookupAddress[] | undefined) => {
      const [first] = addresses ?? [];
      if (options.all === true || first === undefined) callback(error, addresses ?? []);
      else callback(error, first.address, first.family);
    });
}
