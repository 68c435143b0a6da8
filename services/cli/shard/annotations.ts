import type { FailedTest } from "../../../shared/shard-result.ts";

/** GitHub shows no more of one step. */
const ANNOTATIONS_MAX = 10;

/**
 * Failures as GitHub Actions shows them beside the source
 * (https://docs.github.com/actions/reference/workflow-commands-for-github-actions#setting-an-error-message), for tests
 * whose report says the file.
 * @param at where the checkout was in the container: reports may have absolute paths
 */
export function annotate(failures: readonly FailedTest[], at: string): string[] {
  const known = failures.flatMap(({ file, id, message }) => (file === null ? [] : [{ file, id, message }]));
  return known
    .slice(0, ANNOTATIONS_MAX)
    .map(
      ({ file, id, message }) =>
        `::error file=${escapeProperty(relativeTo(at, file))},title=${escapeProperty(id)}::${escapeData(message || "failed")}`,
    );
}

function relativeTo(directory: string, file: string): string {
  return file.startsWith(`${directory}/`) ? file.slice(directory.length + 1) : file;
}

/** As actions/toolkit does it: what is not escaped would begin a command of the test's choice. */
function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
