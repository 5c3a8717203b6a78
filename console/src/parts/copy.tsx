import { useState } from "preact/hooks";
import { useText } from "../text/catalogue";
import { Button } from "./button";

/** Text to copy, such as a command. `name` says what it is. */
export function Copy({ value, name }: { value: string; name: string }) {
  const text = useText();
  const [said, say] = useState("");
  return (
    <div class="copy">
      <code tabIndex={0} role="textbox" aria-readonly="true" aria-label={name}>
        {value}
      </code>
      <Button
        look="quiet"
        name={`${text.common.copy} ${name}`}
        onClick={() => {
          navigator.clipboard.writeText(value).then(
            () => say(text.common.copied),
            () => say(text.common.notCopied),
          );
        }}
      >
        {said || text.common.copy}
      </Button>
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
