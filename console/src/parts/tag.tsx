import { useText, wordOf } from "../text/catalogue";

export type Mood = "" | "plain" | "good" | "warn" | "bad";

export function Tag({ mood = "", children }: { mood?: Mood; children: string }) {
  return <span class={`tag ${mood}`}>{children}</span>;
}

const MOODS: Readonly<Record<string, Mood>> = {
  active: "good",
  open: "good",
  connected: "good",
  sent: "good",
  done: "good",
  over: "plain",
  acknowledged: "plain",
  bound: "plain",
  suspended: "warn",
  waiting: "warn",
  locked: "warn",
  warning: "warn",
  not_permitted: "warn",
  lockdown: "warn",
  expired: "plain",
  disabled: "plain",
  cancelled: "plain",
  revoked: "plain",
  removed: "bad",
  dead: "bad",
  failed: "bad",
  refused: "bad",
  critical: "bad",
};

/** A state of the site's in words, with a mark that does not depend on colour alone. */
export function StateTag({ state }: { state: string }) {
  const text = useText();
  return <Tag mood={MOODS[state] ?? "plain"}>{wordOf(text.states, state)}</Tag>;
}

/** Stands where there is no value. */
export const None = () => <span class="soft">–</span>;
