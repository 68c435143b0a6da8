import { describe, expect, it } from "vitest";
import { Endpoint } from "../../../worker/images/registry/endpoint.ts";

describe("a registry", () => {
  it.each([
    ["docker.io", "https://registry-1.docker.io"],
    ["ghcr.io", "https://ghcr.io"],
    ["registry.local:5000", "https://registry.local:5000"],
    ["named.local:5000", "http://named.local:5000"],
    ["named.local", "https://named.local"],
    ["localhost:5000", "http://localhost:5000"],
    ["127.8.8.8", "http://127.8.8.8"],
    ["[::1]:5000", "http://[::1]:5000"],
    ["10.0.0.1:5000", "https://10.0.0.1:5000"],
  ])("%s is reached at %s", (registry, origin) => {
    expect(new Endpoint(registry, { insecureRegistries: ["named.local:5000"] }).origin).toBe(origin);
  });
});

describe("a redirect", () => {
  it.each([
    ["ghcr.io", "https://blobs.example/x?signature=s", "https://blobs.example/x?signature=s"],
    ["ghcr.io", "/elsewhere", "https://ghcr.io/elsewhere"],
    ["ghcr.io", "http://named.local:5000/x", "http://named.local:5000/x"],
    ["localhost:5000", "http://127.0.0.1:5001/x", "http://127.0.0.1:5001/x"],
    ["localhost:5000", "https://blobs.example/x", "https://blobs.example/x"],
    ["named.local:5000", "http://named.local:5000/x", "http://named.local:5000/x"],
  ])("of %s to %s is followed", (registry, location, url) => {
    expect(new Endpoint(registry, { insecureRegistries: ["named.local:5000"] }).follow(location, "redirect").href).toBe(
      url,
    );
  });

  it.each([
    ["ghcr.io", "http://ghcr.io/x", /not https/],
    ["ghcr.io", "http://169.254.169.254/latest/meta-data", /not https/],
    ["ghcr.io", "http://127.0.0.1:6379/", /leads to this machine/],
    ["ghcr.io", "https://localhost/", /leads to this machine/],
    ["ghcr.io", "https://0x7f.1/", /leads to this machine/],
    ["ghcr.io", "https://[::1]/", /leads to this machine/],
    ["ghcr.io", "https://redis.localhost/", /leads to this machine/],
    ["named.local:5000", "http://localhost:8080/", /leads to this machine/],
    ["localhost:5000", "http://example.org/", /not https/],
    ["ghcr.io", "file:///etc/passwd", /neither https nor http/],
    ["ghcr.io", "data:text/plain,x", /neither https nor http/],
    ["ghcr.io", "https://user:secret@blobs.example/x", /holds a user name or password/],
    ["ghcr.io", "https://", /not a URL/],
  ])("of %s to %s is refused", (registry, location, message) => {
    const follow = () =>
      new Endpoint(registry, { insecureRegistries: ["named.local:5000"] }).follow(location, "redirect");
    expect(follow).toThrow(message);
    expect(follow).not.toThrow(/secret|signature/);
  });
});

describe("a connection", () => {
  const PUBLIC = ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"];
  const LOOPBACK = ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"];
  const PRIVATE = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.1.2.3"];
  const NOWHERE = [
    ...["169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "64:ff9b::a01:203", "2002:a01:203::1"],
    ...["224.0.0.1", "ff02::1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "2001:db8::1", "no address"],
  ];
  const named = { insecureRegistries: ["named.local:5000"], privateHosts: ["blobs.local", "tokens.local:8443"] };
  const led = (registry: string, url: string, addresses: readonly string[]) =>
    addresses.filter((address) => new Endpoint(registry, named).refuse(new URL(url), address) === undefined);
  const all = [...PUBLIC, ...LOOPBACK, ...PRIVATE, ...NOWHERE];

  it.each([
    ["of a registry elsewhere, to public addresses only", "ghcr.io", "https://blobs.example/", PUBLIC],
    ["to the registry itself, wherever it is", "ghcr.io", "https://ghcr.io/v2/", all],
    ["of a registry to another port of its host", "ghcr.io", "https://ghcr.io:8443/", PUBLIC],
    [
      "of an insecure registry, also to private ones",
      "named.local:5000",
      "https://x.example/",
      [...PUBLIC, ...PRIVATE],
    ],
    ["of one on loopback, to that, too", "[::1]:5000", "https://x.example/", [...PUBLIC, ...LOOPBACK, ...PRIVATE]],
    ["to a host that is named, wherever it is", "ghcr.io", "https://blobs.local:9000/", all],
    ["to a port that is named", "ghcr.io", "https://tokens.local:8443/", all],
    ["to a port of it that is not", "ghcr.io", "https://tokens.local/", PUBLIC],
    ["to an insecure registry of the operator's", "ghcr.io", "http://named.local:5000/", all],
  ])("%s", (_, registry, url, addresses) => {
    expect(led(registry, url, all)).toEqual(addresses);
  });
});
