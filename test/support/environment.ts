/**
 * The least that a program of ours needs of a test's own environment, for those that get one of their own: where the
 * machine's programs are, and what others have compiled before.
 */
export function bareEnvironment(): Record<string, string> {
  const names = ["PATH", "NODE_COMPILE_CACHE"];
  return Object.fromEntries(
    names.flatMap((name) => [[name, process.env[name] ?? ""]]).filter(([, value]) => value !== ""),
  );
}
