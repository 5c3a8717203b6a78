import { Fragment } from "preact";
import { useContext } from "preact/hooks";
import { ConsoleContext } from "../app/context";
import type { Operation } from "../site/contract";
import { useText } from "../text/catalogue";
import { placeOfCommand, spoken } from "../text/spans";

/**
 * Text with commands between backticks, as the site writes its messages. What the console does too is named with its
 * screen.
 */
export function Marked({ children }: { children: string }) {
  const text = useText();
  const caller = useContext(ConsoleContext);
  const may = (span: string): boolean => caller?.may(span.replace(" ", ".") as Operation) ?? false;
  return (
    <>
      {children.split("`").map((part, at) => {
        if (at % 2 === 0) return part;
        const place = placeOfCommand(part, text, may);
        return (
          <Fragment key={at}>
            <code class="inline">{spoken(part, text, may)}</code>
            {place ? ` (${place})` : null}
          </Fragment>
        );
      })}
    </>
  );
}
