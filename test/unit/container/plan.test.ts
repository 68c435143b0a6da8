import { describe, expect, it } from "vitest";
import { explainSteps } from "../../../worker/container/explain.ts";
import { CAP } from "../../../worker/linux/constants.ts";
import { calls, samplePlan, sampleSlot, sampleSpec, stepsOf } from "./sample.ts";

describe("the plan of a container", () => {
  it("is the same for the same input", () => {
    expect(explainSteps(samplePlan().steps)).toBe(explainSteps(samplePlan().steps));
  });

  it("makes init in new mount, process, ipc and uts namespaces, as a child of the worker", () => {
    const text = explainSteps([samplePlan().sandbox.init]);
    expect(text).toContain("CLONE_PARENT|CLONE_NEWNS|CLONE_NEWPID|CLONE_NEWIPC|CLONE_NEWUTS");
  });

  it("joins every v1 cgroup before it makes them the root of the cgroup namespace", () => {
    const steps = stepsOf(samplePlan(), "init", "cgroup");
    expect(calls(steps)).toEqual(["openat", "write", "close", "openat", "write", "close", "unshare"]);
  });

  it("is born in its cgroup on v2", () => {
    const plan = samplePlan({}, { cgroup: { directory: "/cgroup/c" } });
    expect(explainSteps([plan.sandbox.init])).toContain("CLONE_INTO_CGROUP");
    expect(calls(stepsOf(plan, "init", "cgroup"))).toEqual(["unshare"]);
    const [open] = stepsOf(plan, "slot", "cgroup");
    expect(open?.arguments[1]).toEqual({ kind: "string", text: "/cgroup/c" });
  });

  it("stacks the layers topmost first, under a writable one", () => {
    const options = stepsOf(samplePlan(), "slot", "union mount")
      .filter((step) => step.call === "fsconfig")
      .map((step) => step.arguments[2])
      .filter((option) => typeof option === "object" && option.kind === "string")
      .map((option) => option.text);
    expect(options).toEqual([
      "size",
      "nr_inodes",
      "mode",
      "uid",
      "gid",
      "lowerdir+",
      "lowerdir+",
      "lowerdir+",
      "upperdir",
      "workdir",
    ]);
  });

  it("has no upper layer under a read-only root, and mounts the scratch on /work", () => {
    const plan = samplePlan({ rootfs: "readonly" });
    expect(explainSteps(plan.steps)).not.toContain("upperdir");
    const mountPoints = stepsOf(plan, "init", "temporary file systems").filter((step) => step.call === "openat2");
    expect(mountPoints.map((step) => step.arguments[1])).toEqual([
      { kind: "string", text: "dev/shm" },
      { kind: "string", text: "tmp" },
      { kind: "string", text: "work" },
    ]);
  });

  it("names layers by path where the kernel cannot take descriptors", () => {
    const text = explainSteps(samplePlan({}, {}, { overlay: "paths" }).steps);
    expect(text).toContain("lowerdir=layers/0:layers/1:layers/2");
    expect(text).not.toContain("lowerdir+");
  });

  it("opens every mount point within the container's root", () => {
    const plan = samplePlan();
    const targets = plan.steps.filter((step) => step.actor === "init" && step.call === "openat2");
    expect(targets.length).toBeGreaterThanOrEqual(3);
    for (const step of targets) {
      expect(step.arguments[0]).toEqual({ kind: "result", step: plan.mounts.shown });
      expect(explainSteps([step])).toContain("RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS");
    }
  });

  it("masks what tells about the host", () => {
    const masked = stepsOf(samplePlan(), "init", "proc").filter((step) => step.call === "openat");
    expect(masked.map((step) => step.arguments[1])).toEqual([
      { kind: "string", text: "keys" },
      { kind: "string", text: "acpi" },
    ]);
  });

  it("detaches the old root before anything runs, and with it what the slot keeps open", () => {
    expect(calls(stepsOf(samplePlan(), "init", "pivot_root"))).toEqual([
      "move_mount",
      "move_mount",
      "move_mount",
      "fchdir",
      "pivot_root",
      "umount2",
      "chdir",
    ]);
  });

  it("gives up ids, capabilities and system calls in this order before it forks the payload", () => {
    const plan = samplePlan();
    const order = plan.steps.filter((step) => step.actor === "init").map((step) => step.purpose);
    const purposes = order.filter((purpose, index) => purpose !== order[index - 1]);
    const from = purposes.lastIndexOf("pivot_root");
    expect(purposes.slice(from)).toEqual([
      "pivot_root",
      "user ids",
      "capabilities",
      "lifetime",
      "descriptors",
      "limits",
      "seccomp",
      "release",
      "accounting",
      "exec",
      "capabilities",
      "descriptors",
      "accounting",
    ]);
  });

  it("drops every capability from the bounding set and sets no_new_privs", () => {
    const steps = stepsOf(samplePlan(), "init", "capabilities").filter((step) => step.call === "prctl");
    const dropped = steps.filter((step) => explainSteps([step]).includes("PR_CAPBSET_DROP"));
    expect(dropped.map((step) => step.arguments[1])).toEqual(
      Object.entries(CAP).map(([text, value]) => ({ kind: "constant", value, text })),
    );
    expect(dropped).toHaveLength(41);
    expect(explainSteps(steps)).toContain("PR_SET_NO_NEW_PRIVS");
  });

  it("leaves the worker's keyrings before it gives up ids, for a session keyring of the container's own", () => {
    const [leave, ...rest] = stepsOf(samplePlan(), "init", "user ids");
    expect(leave === undefined ? "" : explainSteps([leave])).toContain("keyctl(KEYCTL_JOIN_SESSION_KEYRING, NULL)");
    expect(calls(rest)).toEqual(["setns", "setgroups", "setresgid", "setresuid"]);
  });

  it("arms the death signal before it waits, and after ids changed again, and then asks whether the worker still lives", () => {
    const plan = samplePlan();
    expect(calls(stepsOf(plan, "init", "lifetime"))).toEqual(["prctl", "prctl", "ppoll"]);
    const order = plan.steps.filter(({ actor }) => actor === "init").map(({ purpose }) => purpose);
    expect(order.indexOf("lifetime")).toBeLessThan(order.indexOf("preparation"));
    expect(order.lastIndexOf("lifetime")).toBeGreaterThan(order.indexOf("user ids"));
  });

  it("limits, then changes ids, then executes in the payload", () => {
    expect(calls(stepsOf(samplePlan(), "payload"))).toEqual([
      ...["prlimit64", "prlimit64", "prlimit64"],
      ...["setresgid", "setresuid", "capset", "setsid"],
      ...["umask", "chdir", "execve", "execve"],
    ]);
  });

  it("takes supplementary groups on before it gives up the ids that allow it", () => {
    const plan = samplePlan({ user: { uid: 5, gid: 6, groups: [7, 65_535] } });
    expect(calls(stepsOf(plan, "payload", "user ids")).slice(0, 3)).toEqual(["setgroups", "setresgid", "setresuid"]);
    expect(explainSteps(plan.steps)).toContain("setgroups(2, [7, 65535])");
  });

  it("looks a command up in the PATH of its own environment, and takes a path as it is", () => {
    const paths = (plan: ReturnType<typeof samplePlan>): unknown[] =>
      stepsOf(plan, "payload", "exec")
        .filter((step) => step.call === "execve")
        .map((step) => step.arguments[0]);
    expect(paths(samplePlan())).toEqual([
      { kind: "string", text: "/usr/bin/python3" },
      { kind: "string", text: "/bin/python3" },
    ]);
    expect(paths(samplePlan({ command: ["./a.out"] }))).toEqual([{ kind: "string", text: "./a.out" }]);
  });

  it("closes a written file before the program runs, or it could not be executed", () => {
    const files = stepsOf(samplePlan(), "slot", "files");
    expect(calls(files)).toEqual(["openat2", "openat2", "write", "fchown", "close"]);
  });

  it("gives files to the run's user in the slot's range of ids", () => {
    const files = stepsOf(samplePlan({ user: { uid: 7, gid: 8 } }), "slot", "files");
    const owners = files.filter(({ call }) => call === "fchown").map((step) => step.arguments.slice(1));
    const owner = [sampleSlot.idBase + 7, sampleSlot.idBase + 8];
    // The working directory and the file.
    expect(owners).toEqual([owner, owner]);
  });

  it("keeps the working directory open, and nothing else, for files to be returned from", () => {
    const plan = samplePlan({ workingDirectory: "/srv/work" });
    const files = stepsOf(plan, "slot", "files");
    const opened = files.filter(({ call }) => call === "openat2");
    const closed = files.filter(({ call }) => call === "close").map((step) => step.arguments[0]);
    const directory = opened.find(
      (step) => !closed.some((it) => typeof it === "object" && "step" in it && it.step === step),
    );
    expect(plan.workingDirectory).toEqual({ kind: "result", step: directory });
    expect(directory?.arguments[1]).toEqual({ kind: "string", text: "srv/work" });
    expect(closed).toHaveLength(opened.length - 1);
    expect(samplePlan({ rootfs: "readonly" }).workingDirectory).toMatchObject({ kind: "result" });
    expect(samplePlan({ rootfs: "readonly", workingDirectory: "/srv", files: [] }).workingDirectory).toBeUndefined();
  });

  it("has no more directories open at once than the deepest path has", () => {
    const file = (path: string) => ({ path, content: new Uint8Array(), executable: false });
    const paths = Array.from({ length: 50 }, (_, index) => `${index}/a/b/file`);
    const steps = stepsOf(samplePlan({ files: paths.map(file) }), "slot", "files");
    let open = 0;
    let most = 0;
    for (const { call } of steps) {
      if (call === "openat2") open += 1;
      if (call === "close") open -= 1;
      most = Math.max(most, open);
    }
    expect([open, most]).toEqual([1, 5]);
  });

  it("makes each directory on the way to a file once", () => {
    const file = (path: string) => ({ path, content: new Uint8Array(), executable: false });
    const plan = samplePlan({ files: [file("a/b/one"), file("a/b/two"), file("a/three")] });
    const made = stepsOf(plan, "slot", "files").filter((step) => step.call === "mkdirat");
    expect(made.map((step) => step.arguments[1])).toEqual(["a", "b"].map((text) => ({ kind: "string", text })));
  });

  it("limits open files, stack and file size of each process", () => {
    const text = explainSteps(stepsOf(samplePlan(), "payload", "limits"));
    expect(text).toContain(`RLIMIT_NOFILE, {rlim_cur=${sampleSpec.limits.openFiles}, rlim_max=256}`);
    expect(text).toContain("RLIMIT_STACK, {rlim_cur=67108864");
    expect(text).toContain("RLIMIT_FSIZE, {rlim_cur=67108864");
  });

  it("begins every container with the same steps, whatever it is for", () => {
    const build = { scratchDirectory: "/data/build/1" };
    const one = samplePlan({ rootfs: "readonly", limits: { ...sampleSpec.limits, diskBytes: 1 } }).sandbox;
    const other = samplePlan({ build, layers: [], user: { uid: 0, gid: 0 }, network: { kind: "host" } }).sandbox;
    expect(explainSteps(one.steps)).toBe(explainSteps(other.steps));
    const last = one.steps.findLast(({ actor }) => actor === "init");
    expect([last?.purpose, last?.control]).toEqual(["preparation", { kind: "go on" }]);
  });

  it("forbids core dumps to init, before the filter lets nobody change that", () => {
    const text = explainSteps(stepsOf(samplePlan(), "init", "limits"));
    expect(text).toContain("RLIMIT_CORE, {rlim_cur=1, rlim_max=1}");
  });

  it("gives a step of an image build the host's network, a directory and some capabilities, and a job none", () => {
    const build = { scratchDirectory: "/data/build/1" };
    const text = explainSteps(samplePlan({ build, network: { kind: "host" }, user: { uid: 0, gid: 0 } }).steps);
    expect(text).toContain("setns(<network namespace of the worker>, CLONE_NEWNET)");
    expect(text).toContain('open_tree(AT_FDCWD, "/data/build/1"');
    expect(text).toContain("{effective=permitted=CAP_CHOWN|CAP_DAC_OVERRIDE|");
    expect(text).not.toContain("PR_CAPBSET_DROP, CAP_CHOWN");
    expect(text).toContain("PR_CAPBSET_DROP, CAP_SYS_ADMIN");
    const ordinary = explainSteps(samplePlan({ user: { uid: 0, gid: 0 } }).steps);
    expect(ordinary).not.toMatch(/effective=|resolv\.conf/);
    expect(ordinary).toContain("setns(<network namespace of the container>, CLONE_NEWNET)");
    const offline = explainSteps(samplePlan({ build }).steps);
    expect(offline).not.toMatch(/network namespace of the worker|resolv\.conf/);
    expect(() => samplePlan({ network: { kind: "host" } })).toThrow("for image builds only");
  });

  it("joins the network of other containers before its root is attached, and only there", () => {
    const plan = samplePlan({ network: { kind: "join", descriptor: 60 } });
    const [join] = stepsOf(plan, "init", "network");
    expect(join?.arguments[0]).toMatchObject({ kind: "held", descriptor: 60 });
    const mounted = plan.steps.findIndex(({ purpose }) => purpose === "pivot_root");
    expect(mounted).toBeGreaterThan(plan.steps.findIndex((step) => step === join));
    const [own, ...rest] = stepsOf(samplePlan({ network: { kind: "none" } }), "init", "network");
    expect([own?.arguments[0], rest]).toEqual([sampleSlot.network, []]);
  });

  it("mounts volumes with the slot's ids, nosuid and nodev, after everything else and before pivot_root", () => {
    const volumes = [
      { source: "/srv/data", at: "/data", mode: "ro", whenEmpty: "leave" },
      { source: "/srv/cache", at: "/work/cache", mode: "rw", whenEmpty: "copy" },
    ] as const;
    const plan = samplePlan({ volumes });
    const text = explainSteps(stepsOf(plan, "slot", "volumes"));
    expect(text).toContain(
      'openat2(AT_FDCWD, "/srv/data", {flags=O_PATH|O_DIRECTORY|O_CLOEXEC, mode=00, resolve=RESOLVE_NO_SYMLINKS}',
    );
    const attributes = "{attr_set=MOUNT_ATTR_IDMAP|MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV";
    expect(text).toContain(`${attributes}|MOUNT_ATTR_RDONLY, attr_clr=0, userns_fd} /* <user namespace> */`);
    expect(text).toContain(`${attributes}, attr_clr=0, userns_fd} /* <user namespace> */`);
    const order = plan.steps.filter(({ actor }) => actor === "init").map(({ purpose }) => purpose);
    expect(order.indexOf("mount points")).toBeGreaterThan(order.lastIndexOf("temporary file systems"));
    expect(order.lastIndexOf("mount points")).toBeLessThan(order.lastIndexOf("pivot_root"));
  });
});
