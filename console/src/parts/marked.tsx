import { useContext } from "preact/hooks";
import { ConsoleContext } from "../app/context";
import type { Operation } from "../site/contract";
import { useText } from "../text/catalogue";
import { spoken } from "../text/spans";

/** Text with commands between backticks, as the site writes its messages. */
export function Marked({ children }: { children: string }) {
  const text = useText();
  const caller = useContext(ConsoleContext);
  const may = (span: string): boolean => caller?.may(span.replace(" ", ".") as Operation) ?? false;
  return (
    <>
      {children.split("`").map((part, at) =>
        at % 2 === 1 ? (
          <code key={at} class="inline">
            {spoken(part, text, may)}
          </code>
        ) : (
          part
        ),
      )}
    </>
  );
}
