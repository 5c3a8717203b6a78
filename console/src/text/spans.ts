/** What messages of the site name between backticks, in the words of the console. */
import type { Text } from "./catalogue";
import { COMMANDS, GROUPS, OF_PROGRAMS } from "./commands";
import { PLACES } from "./places";

export type Span =
  /** A screen of the console, with a button or a card on it. `open`: the user may use it. */
  | { is: "place"; words: string; open: boolean }
  /** A command, a file, or anything else that stays as it is. */
  | { is: "code"; words: string };

const PROGRAM = "countersign";

const isOfProgram = (span: string): boolean => span.startsWith(`${PROGRAM} `);

/**
 * Commands that are more or less than the operation with their first words, and the operation whose place they have;
 * empty for a command without a place.
 */
const OTHERS: Readonly<Record<string, string>> = {
  "passphrase change": "self passphrase_start",
  // No session lifts it.
  "lockdown lift site": "",
  // It also looks at the files of the site.
  doctor: "",
};

/** The command that runs an operation, without the name of the program. Arguments follow both. */
function commandOf(operation: string): string {
  const [group = "", command = "", ...more] = operation.split(" ");
  return [COMMANDS[`${group} ${command}`] ?? `${group} ${command.replaceAll("_", "-")}`, ...more].join(" ");
}

/** The operations that have a place, by their commands. */
const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ...Object.keys(PLACES).map((operation): [string, string] => [commandOf(operation), operation]),
  ...Object.entries(OTHERS),
]);

/** The operation that a command runs, by as many of its words as name one; empty if it has no place. */
function operationOf(command: string): string {
  const words = command.split(" ");
  for (let count = words.length; count > 0; count -= 1) {
    const operation = OPERATIONS.get(words.slice(0, count).join(" "));
    if (operation !== undefined) return operation;
  }
  return "";
}

/**
 * The words for an operation, such as `option disable`, or for its command: its place in the console if there is one,
 * else the command that runs it at the machine of the site. Both may have arguments. Other text stays.
 */
export function spoken(span: string, text: Text, may: (operation: string) => boolean): Span {
  const isCommand = isOfProgram(span);
  const [, group = "", name = ""] = /^([a-z]+) ([a-z0-9_]+)( .*)?$/.exec(span) ?? [];
  if (!isCommand && !GROUPS.includes(group)) return { is: "code", words: span };
  const command = isCommand ? span.slice(PROGRAM.length + 1) : commandOf(span);
  const operation = operationOf(command);
  const [screen, words] = PLACES[operation] ?? [];
  if (screen) {
    const parts = [text.screens[screen], ...(words ? [words(text)] : [])];
    // A command with a place of its own begins with its operation.
    const called = operation.split(" ").slice(0, 2).join(" ");
    return { is: "place", words: parts.join(": "), open: may(called) };
  }
  const isOfPrograms = OF_PROGRAMS.includes(group) || OF_PROGRAMS.includes(`${group} ${name}`);
  return { is: "code", words: isCommand || isOfPrograms ? span : `${PROGRAM} ${command}` };
}

/** In such a text, a command is for the operator of another site. */
const ELSEWHERE = /\b(there|dort)\b/;
/** Such a text says by itself who can do what it names. */
const NAMES_WHO = /\b(admins?|operators?|Betreiber)\b/i;

/** A text in which backticks mark spans: text and spans by turns, and whether only admins can do what it says. */
export function adapted(
  written: string,
  text: Text,
  may: (operation: string) => boolean,
): { parts: (string | Span)[]; forAdmins: boolean } {
  const isElsewhere = ELSEWHERE.test(written);
  const parts = written.split("`").map((part, at) => {
    if (at % 2 === 0) return part;
    return isElsewhere && isOfProgram(part) ? { is: "code" as const, words: part } : spoken(part, text, may);
  });
  const isClosed = parts.some((part) => typeof part !== "string" && part.is === "place" && !part.open);
  return { parts, forAdmins: isClosed && !NAMES_WHO.test(written) };
}
