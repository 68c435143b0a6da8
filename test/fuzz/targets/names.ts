/** Names, patterns and small texts that strangers choose. */
import * as fc from "fast-check";
import { parsePosition, formatPosition } from "../../../services/api/events/position.ts";
import { readEvents, type ServerSentEvent } from "../../../services/cli/event-stream.ts";
import {
  formatReference,
  namesOf,
  parseReference,
  type Reference,
  ReferenceError,
} from "../../../shared/image-reference.ts";
import { findPathConflicts } from "../../../shared/paths/conflicts.ts";
import { advance, isMatch, parsePattern } from "../../../shared/paths/glob.ts";
import { parseChallenges } from "../../../worker/images/registry/challenge.ts";
import { Endpoint } from "../../../worker/images/registry/endpoint.ts";
import { RegistryError } from "../../../worker/images/registry/registry-error.ts";
import { defineTarget, insistOnRefusal } from "../target.ts";
import { hostileText } from "../values.ts";

const referenceParts = fc.constantFrom(
  ...["docker.io", "localhost:5000", "[::1]:80", "127.0.0.1", "127.1", "0x7f.1", "registry.example", "a", "library"],
  ...["/", ":", "@", ".", "-", "__", "latest", "A", "sha256:", "0".repeat(64), "a".repeat(130)],
);
const references = fc.oneof(
  hostileText,
  fc.array(fc.oneof(referenceParts, hostileText), { maxLength: 8 }).map((parts) => parts.join("")),
  fc.array(referenceParts, { maxLength: 8 }).map((parts) => parts.join("")),
);

export const imageReferences = defineTarget({
  name: "references of images",
  runs: 25_000,
  values: references,
  open: () => (text) => {
    namesOf(text);
    const reference = parse(text);
    if (reference === undefined) return;
    const written = formatReference(reference);
    if (formatReference(parseReference(written)) !== written) throw new Error(`it is written as ${written}`);
    // Whom it names is whom we would talk to.
    const { host } = new URL(`https://${reference.registry}`);
    if (host !== reference.registry.replace(/:443$/, "")) throw new Error(`it leads to ${host}`);
  },
});

function parse(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch (error) {
    insistOnRefusal(error, ReferenceError);
    return undefined;
  }
}

const places = fc.oneof(
  hostileText,
  fc
    .record({
      scheme: fc.constantFrom("http:", "https:", "HTTP:", "ftp:", "file:", "data:", "javascript:", "//", ""),
      user: fc.constantFrom("", "a@", "a:b@", "@"),
      host: fc.constantFrom(
        ...["registry.example", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "localhost"],
        ...["localhost.", "a.localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "ⓛocalhost"],
      ),
      path: hostileText,
    })
    .map(({ scheme, user, host, path }) => `${scheme}//${user}${host}/${path}`),
);

/** Names and addresses of this machine, as the URL parser writes them, and where they lead. */
function ownAddress(hostname: string): string | undefined {
  if (/^(?:.*\.)?localhost\.?$/.test(hostname)) return "127.0.0.1";
  const address = hostname.replace(/^\[(.*)\]$/, "$1");
  return /^(?:127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1?|::ffff:7f[0-9a-f]{2}:[0-9a-f]+)$/.test(address) ? address : undefined;
}

export const placesOfRegistries = defineTarget({
  name: "places that a registry sends us to",
  runs: 25_000,
  values: places,
  open: () => {
    const endpoint = new Endpoint("registry.example");
    return (text) => {
      let url: URL;
      try {
        url = endpoint.follow(text, "redirect");
      } catch (error) {
        insistOnRefusal(error, RegistryError);
        return;
      }
      if (url.protocol !== "https:") throw new Error(`it would be followed to ${url.href}, in the clear`);
      const address = url.hostname === "169.254.169.254" ? url.hostname : ownAddress(url.hostname);
      if (address === undefined || endpoint.refuse(url, address) !== undefined) return;
      throw new Error(`it would be followed to ${url.href}, which is ${address}`);
    };
  },
});

export const challenges = defineTarget({
  name: "challenges of registries",
  runs: 15_000,
  values: fc.oneof(
    hostileText,
    fc
      .array(
        fc.oneof(fc.constantFrom("Bearer", "Basic", " ", ",", "=", '"', "\\", "realm", 'realm="x"'), hostileText),
        {
          maxLength: 20,
        },
      )
      .map((parts) => parts.join("")),
  ),
  open: () => (header) => void parseChallenges(header),
});

const component = fc.oneof(hostileText, fc.constantFrom("*", "**", "a*b", "[a-z]", "?", "[!x]*"));

export const patterns = defineTarget({
  name: "patterns of outputs",
  runs: 15_000,
  values: fc.record({
    pattern: fc.array(component, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/")),
    path: fc.array(hostileText, { minLength: 1, maxLength: 5 }),
  }),
  open:
    () =>
    ({ pattern, path }) => {
      findPathConflicts([pattern, path.join("/")]);
      const parsed = parsePattern(pattern);
      if (parsed.kind !== "glob") return;
      const work = { steps: 0 };
      isMatch(path.reduce((candidates, name) => advance(candidates, name, work), parsed.candidates));
      // A comparison of every character with every part of the pattern is the most that there is to do.
      const most = (pattern.length + 5) * (path.join("/").length + path.length + 5) * 2;
      if (work.steps > most) throw new Error(`${work.steps} steps, more than ${most}`);
    },
});

export const positions = defineTarget({
  name: "ids of events",
  runs: 10_000,
  values: fc.oneof(hostileText, fc.stringMatching(/^[nqrx]\d{1,10}(?:-\d{1,16}){3}$/)),
  open: () => (text) => {
    const position = parsePosition(text);
    if (position === undefined) return;
    const written = parsePosition(formatPosition(position));
    if (JSON.stringify(written) !== JSON.stringify(position)) throw new Error("it is read as another one again");
  },
});

const lines = fc
  .array(fc.oneof(fc.constantFrom("id: 1", "event: x", "data: y", "data", ":", "", "\r"), hostileText), {
    maxLength: 12,
  })
  .map((parts) => Buffer.from(parts.join("\n")));

export const eventStreams = defineTarget({
  name: "streams of events",
  runs: 5000,
  values: fc.record({ stream: lines, cuts: fc.array(fc.nat(400), { maxLength: 6 }) }),
  open:
    () =>
    async ({ stream, cuts }) => {
      const whole = await eventsIn([stream]);
      const ends = [0, ...cuts.toSorted((one, other) => one - other), stream.length];
      const inPieces = await eventsIn(ends.slice(1).map((end, index) => stream.subarray(ends[index], end)));
      if (JSON.stringify(inPieces) !== JSON.stringify(whole)) throw new Error("in pieces it is another stream");
    },
});

async function eventsIn(pieces: readonly Buffer[]): Promise<ServerSentEvent[]> {
  async function* body() {
    yield* pieces;
  }
  return await Array.fromAsync(readEvents(body()));
}
