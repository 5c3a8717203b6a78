import type { ComponentChildren } from "preact";
import { useConsole } from "../app/context";
import { useDoing } from "../app/queries";
import { Failed, SentLater } from "./states";

export type Look = "" | "main" | "danger" | "danger main" | "quiet" | "quiet danger" | "link";

interface Props {
  look?: Look;
  children: ComponentChildren;
  onClick?: () => void;
  busy?: boolean;
  type?: "button" | "submit";
  /** A name for screen readers that says more than the visible words, which it begins with. */
  name?: string;
  off?: boolean;
}

/** A button. While it is busy it keeps its place and its focus, and does nothing. */
export function Button({
  look = "",
  children,
  onClick,
  busy = false,
  type = "button",
  name,
  off = false,
}: Props) {
  const stopped = busy || off;
  return (
    <button
      type={type}
      class={`button ${look}`}
      aria-label={name}
      aria-busy={busy}
      aria-disabled={stopped}
      onClick={(event) => {
        if (stopped) event.preventDefault();
        else onClick?.();
      }}
    >
      {children}
    </button>
  );
}

/** What is said after a change. */
export type Said<T> = string | ((result: T) => string);

export const wordsOf = <T,>(said: Said<T>, result: T): string =>
  typeof said === "string" ? said : said(result);

interface ActProps<T> {
  look?: Look;
  children: ComponentChildren;
  name?: string;
  act: () => Promise<T>;
  said: Said<T>;
  done?: () => void;
}

/** A button that runs a change at once, and says beside itself why that failed. */
export function Act<T>({ look = "", children, name, act, said, done }: ActProps<T>) {
  const { say } = useConsole();
  const doing = useDoing();
  const press = async (): Promise<void> => {
    let words = "";
    const isDone = await doing.run(async () => {
      words = wordsOf(said, await act());
    });
    if (!isDone) return;
    say(words);
    done?.();
  };
  return (
    <span class="act">
      <Button
        look={look}
        busy={doing.busy}
        {...(name === undefined ? {} : { name })}
        onClick={() => void press()}
      >
        {children}
      </Button>
      <SentLater busy={doing.busy} />
      <Failed failure={doing.failure} />
    </span>
  );
}
