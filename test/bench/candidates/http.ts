import { benchJob, Client, startLongshore } from "../longshore.ts";
import { type Candidate, tryOut } from "./candidate.ts";

/** What a client sees: one client, one connection that is kept, one job at a time. */
export const http: Candidate = {
  name: "http",
  measures: "writable root, one client: POST /v1/jobs?wait until the answer is read, through API, Redis and worker",
  async open({ bench, resources }) {
    const client = resources.use(new Client((await startLongshore(bench, resources)).url, benchJob(bench)));
    return tryOut(async () => {
      const { sent, answered } = await client.post();
      return Number(answered - sent);
    });
  },
};
