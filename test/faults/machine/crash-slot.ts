/**
 * Loaded into every thread of a worker before anything else (`node --import`): ends a thread that is not the main one
 * where the test says so, in the middle of whatever that thread does, as a fault of the engine would.
 *
 * A thread that supervises a container does not return to its event loop before the container ends; what it does ask for,
 * again and again, is the time.
 */
import { rmSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

const order = process.env["FAULTS_CRASH_ORDER"];
if (!isMainThread && order !== undefined) {
  const now = performance.now.bind(performance);
  performance.now = () => {
    if (takeOrder(order)) process.exit(70); // of a thread: ends only that one
    return now();
  };
}

/** Whoever can remove the order has it. */
function takeOrder(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}
