/**
 * The second half of the set-up, once Node 24 is there: does this machine carry containers, and the images.
 * Started by infra/setup.sh, with its profile.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

/**
 * The quick start runs Python. Tests of languages run for those that are here: all but the six whose packages are most
 * of the whole, which `npm run test:languages` builds as well. `build` leaves alone what is up to date.
 */
const IMAGES: Readonly<Record<string, readonly string[]>> = {
  api: [],
  worker: ["python"],
  start: ["python"],
  test: ["python", "c", "cpp", "javascript", "bash", "lua", "pascal", "perl", "php", "ruby", "sqlite"],
  v2: ["python"],
};

const root = join(import.meta.dirname, "..");

/** Runs a program of the worker; its stdout is progress here, so it joins stderr. */
function runWorkerCommand(program: string, ...words: string[]): boolean {
  const command = join(root, "worker/commands", program);
  return spawnSync(process.execPath, [command, ...words], { stdio: ["ignore", 2, "inherit"] }).status === 0;
}

function setUp(profile: string): boolean {
  const images = IMAGES[profile];
  if (images === undefined) throw new Error(`unknown profile ${profile}: use one of ${Object.keys(IMAGES).join(", ")}`);
  if (images.length === 0) return true;
  // Redis is not up yet where we are to start it, and where not, the worker says what is wrong with it.
  if (!runWorkerCommand("doctor.ts", "--quiet", "--without", "redis")) {
    console.error("longshore: this machine lacks what containers need: see above");
    return false;
  }
  return runWorkerCommand("images.ts", "build", ...images);
}

process.exitCode = setUp(process.argv[2] ?? "start") ? 0 : 1;
