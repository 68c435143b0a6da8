/** A mounted cgroup hierarchy. */
export interface CgroupMount {
  /** Controllers of a v1 hierarchy, `name=…` among them; `""` for v2, as /proc/[pid]/cgroup writes it. */
  readonly hierarchies: readonly string[];
  /** The cgroup that is seen at the mount point; not `/` where a container is shown its own part of the tree. */
  readonly root: string;
  readonly mountPoint: string;
}

/** The cgroup file systems in proc_pid_mountinfo(5): `ID PARENT DEV ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPEROPTIONS`. */
export function parseMountInfo(text: string): readonly CgroupMount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root = "", mountPoint = ""] = before.split(" ").map(unescapeOctal);
    const [type, , superOptions = ""] = after.split(" ");
    if (type === "cgroup2") return [{ hierarchies: [""], root, mountPoint }];
    if (type === "cgroup") return [{ hierarchies: superOptions.split(","), root, mountPoint }];
    return [];
  });
}

/** A process's cgroup in each hierarchy, by controller, from lines `ID:CONTROLLER,…:PATH`; `""` is v2. */
export function parseOwnCgroups(text: string): ReadonlyMap<string, string> {
  const entries = text.split("\n").flatMap((line) => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) return [];
    const [, controllers = "", path = "/"] = match;
    return controllers.split(",").map((controller) => [controller, path] as const);
  });
  return new Map(entries);
}

/** Where a cgroup is seen through a mount; undefined when the mount shows another part of the tree. */
export function pathThroughMount(mount: CgroupMount, path: string): string | undefined {
  // A cgroup above the root of our cgroup namespace.
  if (path === "/.." || path.startsWith("/../")) return undefined;
  const root = mount.root === "/" ? "" : mount.root;
  if (path !== root && !path.startsWith(`${root}/`)) return undefined;
  const below = path.slice(root.length);
  return below === "/" ? mount.mountPoint : mount.mountPoint + below;
}

/** Space, tab, newline and backslash are written as three octal digits. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
