/**
 * Search by the beginning of a name. A site lists names in order and begins a list after any text,
 * so the matches are the page after the greatest text that is less than the prefix. That is one
 * indexed read, whatever the number of people.
 */
const LAST = "\u{10FFFF}";

export const normal = (typed: string): string => typed.trim().toLowerCase();

/** The `after` with which the list begins at the prefix. */
export function before(prefix: string): string | undefined {
  const last = prefix.codePointAt(prefix.length - 1);
  if (last === undefined) return undefined;
  return `${prefix.slice(0, -1)}${String.fromCodePoint(last - 1)}${LAST}`;
}
