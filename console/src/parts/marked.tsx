import { useContext } from "preact/hooks";
import { ConsoleContext } from "../app/context";
import type { Operation } from "../site/contract";
import { useText } from "../text/catalogue";
import { adapted, turns } from "../text/spans";

/** Text with operations and commands between backticks, as the site writes its messages. */
export function Marked({ children }: { children: string }) {
  const text = useText();
  const caller = useContext(ConsoleContext);
  // Before the login there are no screens.
  const { parts, forAdmins } = caller
    ? adapted(children, text, (operation) => caller.may(operation.replace(" ", ".") as Operation))
    : { parts: turns(children).map(codeOf), forAdmins: false };
  return (
    <>
      {parts.map((part, at) =>
        typeof part === "string" ? (
          part
        ) : part.is === "place" ? (
          text.common.place(part.words)
        ) : (
          <code key={at} class="inline">
            {part.words}
          </code>
        ),
      )}
      {forAdmins ? ` ${text.common.forAdmins}` : null}
    </>
  );
}

const codeOf = (part: string, at: number) => (at % 2 === 1 ? { is: "code" as const, words: part } : part);
