import { useEffect, useState } from "preact/hooks";
import { useText } from "../text/catalogue";
import { Button } from "./button";

/** How long a button says that it has copied, in milliseconds. */
const SAYS = 2_000;

/**
 * Text to copy, such as a command. `name` says what it is. A `secret` stays in the clipboard for every program to read,
 * so after it was copied a button removes it. Its room is there before, so that nothing moves under the pointer.
 */
export function Copy({ value, name, secret = false }: { value: string; name: string; secret?: boolean }) {
  const text = useText();
  const [became, become] = useState<"copied" | "cleared" | "notCopied">();
  /** Whether the clipboard has the secret. */
  const [held, hold] = useState(false);
  useEffect(() => {
    if (!became || became === "notCopied") return undefined;
    const timer = setTimeout(() => become(undefined), SAYS);
    return () => clearTimeout(timer);
  }, [became]);
  const put = (content: string, done: "copied" | "cleared"): void => {
    navigator.clipboard.writeText(content).then(
      () => {
        become(done);
        hold(done === "copied");
      },
      () => become("notCopied"),
    );
  };
  const said = { copied: text.common.copied, cleared: text.common.cleared, notCopied: text.common.notCopied };
  const words = became === "copied" ? said.copied : text.common.copy;
  return (
    <div>
      <div class="copy">
        <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={name}>
          {value}
        </code>
        <div class="copy-buttons">
          <Button look="quiet" name={`${words} ${name}`} onClick={() => put(value, "copied")}>
            {words}
          </Button>
          {secret ? (
            <div class={held ? "" : "kept"}>
              <Button look="quiet" onClick={() => put("", "cleared")}>
                {text.common.clear}
              </Button>
            </div>
          ) : null}
        </div>
      </div>
      {became === "notCopied" ? <p class="small">{said.notCopied}</p> : null}
      <span class="unseen" role="status">
        {became ? said[became] : ""}
      </span>
    </div>
  );
}

/** Offers text or bytes as a file. */
export function save(name: string, content: Blob | string): void {
  const url = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type: "application/json" }),
  );
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
