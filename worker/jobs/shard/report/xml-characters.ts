/** XML 1.0, production 2 (Char), without what a string that is well formed has not. */
const FORBIDDEN = /[\p{Cc}--[\t\n\r\x7F-\x9F]]|[\uFFFE\uFFFF]/gv;

/** Replaces characters that XML has no way to write, and that programs print nevertheless. */
export function replaceForbidden(text: string): string {
  return text.toWellFormed().replaceAll(FORBIDDEN, "\uFFFD");
}
