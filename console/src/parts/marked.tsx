import { useContext } from "preact/hooks";
import { ConsoleContext } from "../app/context";
import { to } from "../app/router";
import type { Operation } from "../site/contract";
import { useText } from "../text/catalogue";
import { adapted, turns } from "../text/spans";

interface Props {
  children: string;
  /** The text is part of a link, so that no word in it is one. */
  inLink?: boolean;
}

/**
 * Text with operations and commands between backticks, as the site writes its messages. A screen that it names is a link
 * to it.
 */
export function Marked({ children, inLink = false }: Props) {
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
          part.open && !inLink ? (
            <a key={at} href={to(...part.address)}>
              {text.common.place(part.words)}
            </a>
          ) : (
            text.common.place(part.words)
          )
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
