/** What messages of the site name between backticks, in the words of the console. */
import type { Text } from "./catalogue";
import { COMMANDS, GROUPS } from "./commands";
import { PLACES } from "./places";

const PROGRAM = "countersign";

export type Span =
  /**
   * A screen of the console, with a button or a card on it, and the parts of its address. `open`: the user may use it.
   * `shows`: the user reads there what the operation returns.
   */
  | { is: "place"; words: string; open: boolean; shows: boolean; address: string[] }
  /** A command, a file, or anything else that stays as it is. */
  | { is: "code"; words: string };

/** Screens with a page for each object, by the groups whose operations name the object first. */
const PAGES: Readonly<Record<string, string>> = {
  app: "applications",
  key: "services",
  peer: "peers",
  person: "people",
  service: "services",
};

/** Operations that change nothing: their place is where one looks. */
const SHOWS = /^(key_)?(deliveries|events|inbox|list|outbox|show|status)$/;

/** The address of a screen, or of its page about the object that the arguments of the operation begin with. */
function addressOf(screen: string, group: string, rest: string): string[] {
  if (screen === "overview") return [];
  // An argument in capitals stands for a name.
  const [, object = ""] = /^ ([^\s-]\S*)/.exec(rest) ?? [];
  return PAGES[group] === screen && object && !/^[A-Z]+$/.test(object) ? [screen, object] : [screen];
}

/** The place of an operation, by as many of the words as name one; absent if it has no place. */
function placeOf(words: string): (typeof PLACES)[string] {
  for (let name = words; name.includes(" "); name = name.slice(0, name.lastIndexOf(" "))) {
    const place = PLACES[name];
    if (place !== undefined) return place;
  }
  return null;
}

/**
 * The words for an operation, such as `option disable`, which arguments may follow: its place in the console if there
 * is one, else the command that runs it at the machine of the site. Other text stays, also a command: it runs elsewhere.
 */
export function spoken(span: string, text: Text, may: (operation: string) => boolean): Span {
  const [, group = "", name = "", rest = ""] = /^([a-z]+) ([a-z0-9_]+)( .*)?$/.exec(span) ?? [];
  if (!GROUPS.includes(group)) return { is: "code", words: span };
  const operation = `${group} ${name}`;
  const place = placeOf(span);
  if (place) {
    const [screen, words] = place;
    const parts = [text.screens[screen], ...(words ? [words(text)] : [])];
    return {
      is: "place",
      words: parts.join(": "),
      open: may(operation),
      shows: SHOWS.test(name),
      address: addressOf(screen, group, rest),
    };
  }
  const command = COMMANDS[operation];
  if (command === null) return { is: "code", words: span };
  return { is: "code", words: `${PROGRAM} ${command ?? operation.replaceAll("_", "-")}${rest}` };
}

/** Such a text says by itself who can do what it names. */
const NAMES_WHO = /\b(admins?|operators?|Betreiber)\b/i;

/**
 * Text and the spans between its backticks by turns. A span neither begins nor ends with white space, and one of the
 * site follows white space: a backtick in a name or a reason makes no text of the spans that follow it.
 */
export function turns(written: string): string[] {
  return written.split(/`(?!\s)([^`]*[^`\s])`/);
}

/** A text in which backticks mark spans: text and spans by turns, and whether only admins can do what it says. */
export function adapted(
  written: string,
  text: Text,
  may: (operation: string) => boolean,
): { parts: (string | Span)[]; forAdmins: boolean } {
  const parts = turns(written).map((part, at) => (at % 2 === 0 ? part : spoken(part, text, may)));
  // The site writes for programs: "See why with `lockdown status`".
  parts.forEach((part, at) => {
    const before = parts[at - 1];
    if (typeof part !== "string" && part.is === "place" && part.shows && typeof before === "string")
      parts[at - 1] = before.replace(/\bwith $/, "on the screen ");
  });
  const isClosed = parts.some((part) => typeof part !== "string" && part.is === "place" && !part.open);
  return { parts, forAdmins: isClosed && !NAMES_WHO.test(written) };
}
