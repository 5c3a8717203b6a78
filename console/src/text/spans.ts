/** What messages of the site name between backticks, in the words of the console. */
import type { Text } from "./catalogue";
import { COMMANDS, GROUPS, OF_PROGRAMS } from "./commands";

type Title = keyof Text["screens"];

/** The screen of each group of operations. */
const SCREENS: Readonly<Record<string, Title>> = {
  alarm: "alarms",
  app: "applications",
  audit: "audit",
  broker: "applications",
  config: "settings",
  device: "devices",
  key: "services",
  lockdown: "lockdown",
  option: "options",
  peer: "peers",
  penalty: "sessions",
  person: "people",
  service: "services",
  session: "sessions",
  ticket: "devices",
  token: "tokens",
};

/** Operations on another screen than their group. */
const ELSEWHERE: Readonly<Record<string, Title>> = {
  "peer discard": "messages",
  "peer discard_waiting": "messages",
  "peer inbox": "messages",
  "peer outbox": "messages",
  "peer send": "messages",
  "site config": "settings",
  "site config_show": "settings",
  "site doctor": "overview",
  "site key_events": "keys",
  "site status": "overview",
};

/** The operations of commands, where their names differ. */
const OPERATIONS: ReadonlyMap<string, string> = new Map(
  Object.entries(COMMANDS).map(([operation, command]) => [command, operation]),
);

type May = (span: string) => boolean;

/**
 * The words for an operation, such as `site backup`: its screen if the caller may call it, else the command that runs
 * it at the machine of the site. Other text stays.
 */
export function spoken(span: string, { screens }: Pick<Text, "screens">, may: May): string {
  const [, group = "", command = ""] = /^([a-z]+) ([a-z0-9_]+)$/.exec(span) ?? [];
  if (!GROUPS.includes(group)) return span;
  const place = placeOf(span, screens, may);
  if (place) return place;
  if (OF_PROGRAMS.includes(group) || OF_PROGRAMS.includes(span)) return span;
  const words = COMMANDS[span] ?? `${group} ${command.replaceAll("_", "-")}`;
  return ["countersign", words].join(" ");
}

/** Where the console does what a command does, such as `countersign lockdown status`, if the caller may call it. */
export function placeOfCommand(
  span: string,
  { screens }: Pick<Text, "screens">,
  may: May,
): string | undefined {
  const [program, ...words] = span.split(" ");
  if (program !== "countersign") return undefined;
  for (let count = words.length; count > 0; count -= 1) {
    const command = words.slice(0, count).join(" ");
    const operation = OPERATIONS.get(command) ?? command.replaceAll("-", "_");
    const place = GROUPS.includes(operation.split(" ")[0] ?? "") && placeOf(operation, screens, may);
    if (place) return place;
  }
  return undefined;
}

/** The screen of an operation, and what it is called there. */
function placeOf(operation: string, screens: Text["screens"], may: May): string | undefined {
  const [group = "", command = ""] = operation.split(" ");
  const screen = ELSEWHERE[operation] ?? SCREENS[group];
  return screen && may(operation) ? `${screens[screen]}: ${command.replaceAll("_", " ")}` : undefined;
}
