/**
 * From the text of a Dockerfile to instructions. dockerfile-ast finds directives, instructions, flags and documents;
 * what stands in them is taken apart here, because it has to mean what Docker makes of it to the letter.
 */
import { Copy, DockerfileParser, type Instruction as SyntaxNode, ModifiableInstruction, Run } from "dockerfile-ast";
import { DockerfileError } from "./error.ts";
import type { Dockerfile, Heredoc, Instruction } from "./instruction.ts";
import { parseBody } from "./parse-body.ts";
import { joinLines } from "./words.ts";

/** What an instruction consists of, before its arguments are taken apart. */
export interface Clause {
  /** In upper case. */
  readonly keyword: string;
  readonly flags: ReadonlyMap<string, string>;
  /** What follows keyword and flags, on one line, without documents. */
  readonly rest: string;
  readonly documents: readonly Heredoc[];
  /** As {@link Clause.rest}, with the documents as they stand. */
  readonly restWithDocuments: string;
  readonly escape: string;
}

/**
 * Reads a Dockerfile.
 * @param file the name that errors begin with
 * @throws {DockerfileError} at the first instruction that is unknown, unsupported or malformed
 */
export function parseDockerfile(text: string, file: string): Dockerfile {
  const source = text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const syntax = DockerfileParser.parse(source);
  const escape = syntax.getEscapeCharacter();
  const lines = source.split("\n");
  const instructions = syntax.getInstructions().map((node) => readInstruction(node, lines, escape, file));
  checkOrder(instructions, file);
  return { file, escape, instructions };
}

function readInstruction(node: SyntaxNode, lines: readonly string[], escape: string, file: string): Instruction {
  const line = node.getRange().start.line + 1;
  try {
    const clause = readClause(node, lines, escape);
    const words = [clause.keyword, ...[...clause.flags].map(([name, value]) => `--${name}=${value}`)];
    return { ...parseBody(clause), line, text: [...words, clause.restWithDocuments].join(" ") };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new DockerfileError(file, line, error.message);
  }
}

function readClause(node: SyntaxNode, lines: readonly string[], escape: string): Clause {
  const keyword = node.getKeyword();
  const flags = new Map<string, string>();
  for (const flag of node instanceof ModifiableInstruction ? node.getFlags() : []) {
    if (flags.has(flag.getName())) throw new SyntaxError(`${keyword} has --${flag.getName()} twice`);
    flags.set(flag.getName(), flag.getValue() ?? "");
  }
  const raw = node.getRawArgumentsContent() ?? "";
  const documents = readDocuments(node, lines);
  if (documents.length === 0) {
    const rest = joinLines(raw, escape).trim();
    return { keyword, flags, rest, documents, restWithDocuments: rest, escape };
  }
  // Documents begin at the line after the instruction's own: that one ends at the first end of a line not escaped.
  const own = new RegExp(`^(?:[^\\n]*${RegExp.escape(escape)}[ \\t]*\\n)*[^\\n]*`).exec(raw)?.[0] ?? "";
  const rest = joinLines(own, escape).trim();
  return { keyword, flags, rest, documents, restWithDocuments: rest + raw.slice(own.length), escape };
}

/** Only RUN and COPY take documents here; what an ADD of one would do, COPY does. */
function readDocuments(node: SyntaxNode, lines: readonly string[]): Heredoc[] {
  if (!(node instanceof Run || node instanceof Copy)) return [];
  return node.getHeredocs().map((heredoc) => {
    const name = heredoc.getName();
    const delimiter = heredoc.getDelimiterRange();
    if (delimiter === null)
      throw new SyntaxError(`the document ${name} does not end: ${name} is missing on a line of its own`);
    const content = heredoc.getContentRange();
    const body = content === null ? [] : lines.slice(content.start.line, delimiter.start.line);
    const start = heredoc.getStartRange();
    const operator = lines[start.start.line]?.slice(start.start.character) ?? "";
    const [, dash = "", quote = ""] = /^<<(-?)\s*(["']?)/.exec(operator) ?? [];
    const kept = dash === "" ? body : body.map((line) => line.replace(/^\t+/, ""));
    return { name, content: kept.map((line) => `${line}\n`).join(""), variables: quote === "" ? "replaced" : "kept" };
  });
}

/** FROM comes first; only ARG may stand before it. */
function checkOrder(instructions: readonly Instruction[], file: string): void {
  const first = instructions.find(({ keyword }) => keyword !== "ARG");
  if (first === undefined) throw new DockerfileError(file, 1, "there is no FROM: say what the image starts from");
  if (first.keyword !== "FROM") {
    throw new DockerfileError(file, first.line, `${first.keyword} stands before the first FROM: only ARG may`);
  }
}
