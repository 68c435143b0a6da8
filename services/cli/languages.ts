import { extname } from "node:path";

/** The preset that a file's ending stands for. */
const languageOfEnding: Readonly<Record<string, string>> = {
  ".py": "python",
  ".c": "c",
  ".cc": "cpp",
  ".cpp": "cpp",
  ".cxx": "cpp",
  ".js": "javascript",
  ".mjs": "javascript",
  ".cjs": "javascript",
  ".sh": "bash",
  ".bash": "bash",
  ".java": "java",
  ".go": "go",
  ".rs": "rust",
  ".rb": "ruby",
  ".php": "php",
  ".pl": "perl",
  ".lua": "lua",
  ".hs": "haskell",
  ".ml": "ocaml",
  ".pas": "pascal",
  ".pp": "pascal",
  ".cs": "csharp",
  ".sql": "sqlite",
};

/** Guesses the language of a program from its file's ending; undefined when it says nothing. */
export function guessLanguage(file: string): string | undefined {
  return languageOfEnding[extname(file).toLowerCase()];
}
