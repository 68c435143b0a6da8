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
    expect(new Endpoint(registry, ["named.local:5000"]).origin).toBe(origin);
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
    expect(new Endpoint(registry, ["named.local:5000"]).follow(location, "redirect").href).toBe(url);
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
    const follow = () => new Endpoint(registry, ["named.local:5000"]).follow(location, "redirect");
    expect(follow).toThrow(message);
    expect(follow).not.toThrow(/secret|signature/);
  });
});
