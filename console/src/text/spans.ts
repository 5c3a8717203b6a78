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

/**
 * The words for an operation, such as `site backup FILE`: its screen if the caller may call it, else the command that
 * runs it at the machine of the site, with its arguments. Other text stays.
 */
export function spoken(
  span: string,
  { screens }: Pick<Text, "screens">,
  may: (span: string) => boolean,
): string {
  const [, operation = "", group = "", command = "", given = ""] =
    /^(([a-z]+) ([a-z0-9_]+))( .*)?$/.exec(span) ?? [];
  if (!GROUPS.includes(group)) return span;
  const screen = ELSEWHERE[operation] ?? SCREENS[group];
  if (screen && may(operation)) return `${screens[screen]}: ${command.replaceAll("_", " ")}`;
  if (OF_PROGRAMS.includes(group) || OF_PROGRAMS.includes(operation)) return span;
  const words = COMMANDS[operation] ?? `${group} ${command.replaceAll("_", "-")}`;
  return ["countersign", words].join(" ") + given;
}
