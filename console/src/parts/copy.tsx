import { useState } from "preact/hooks";
import { useText } from "../text/catalogue";
import { Button } from "./button";

/**
 * Text to copy, such as a command. `name` says what it is. A `secret` stays in the clipboard for every program to read,
 * so after it was copied a button removes it.
 */
export function Copy({ value, name, secret = false }: { value: string; name: string; secret?: boolean }) {
  const text = useText();
  const [said, say] = useState("");
  const put = (content: string, done: string): void => {
    navigator.clipboard.writeText(content).then(
      () => say(done),
      () => say(text.common.notCopied),
    );
  };
  return (
    <div class="copy">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={name}>
        {value}
      </code>
      <div class="copy-buttons">
        <Button
          look="quiet"
          name={`${text.common.copy} ${name}`}
          onClick={() => put(value, text.common.copied)}
        >
          {said || text.common.copy}
        </Button>
        {secret && said === text.common.copied ? (
          <Button look="quiet" onClick={() => put("", text.common.cleared)}>
            {text.common.clear}
          </Button>
        ) : null}
      </div>
      <span class="unseen" role="status">
        {said}
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
