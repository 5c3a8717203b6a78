import { useId, useState } from "preact/hooks";
import { mistake } from "../site/contract";
import { useText, type Text } from "../text/catalogue";
import { Input } from "./form";

/** The end of a PEM label. The labels of private keys of all kinds end with these words. */
const PRIVATE = "PRIVATE KEY-----";

/**
 * Whether a text has a private key in PEM, also within JSON; one in UTF-16, which is read with a zero after each letter,
 * too. The dump of a person, which is JSON, may have an encrypted one.
 */
export const isPrivateKey = (content: string, isDump = false): boolean => {
  const bare = content.replaceAll("\0", "");
  return bare.includes(PRIVATE) && !(isDump && /^\s*\{/.test(bare));
};

interface Props {
  /** The label of the field that takes a file. */
  file: string;
  label: string;
  field: string;
  help?: string;
  lines?: number;
  value: string;
  set: (content: string) => void;
  /** Takes the dump of a person in JSON, which may have an encrypted private key. */
  isDump?: boolean;
}

/**
 * A text that comes from a file or is pasted. The file stays on this machine until the form is sent. A private key is
 * refused before that: the fields are for what others may read.
 */
export function FileText({ file, lines = 4, set, isDump = false, ...input }: Props) {
  const text = useText();
  const id = useId();
  /** How often a private key was refused since the last text that was taken. Each time the field is shown anew. */
  const [refusals, refuse] = useState(0);
  const take = (content: string): boolean => {
    const isTaken = !isPrivateKey(content, isDump);
    refuse((before) => (isTaken ? 0 : before + 1));
    if (isTaken) set(content);
    return isTaken;
  };
  return (
    <>
      <div class="field">
        <label for={id}>{file}</label>
        <input
          id={id}
          class="input"
          type="file"
          onChange={({ currentTarget }) => {
            void currentTarget.files?.[0]?.text().then((content) => {
              if (!take(content)) currentTarget.value = "";
            });
          }}
        />
      </div>
      <Input
        {...input}
        // A key that was refused is out of the field by now. That is no new text.
        set={(content) => void (content !== input.value && take(content))}
        lines={lines}
        mono
        refused={refusals > 0 ? text.common.privateKey : undefined}
      />
    </>
  );
}

/** The text of a field that must not be empty. */
export function expectText(content: string, field: string, text: Text): string {
  if (!content.trim()) throw mistake(text.common.fileMissing, field);
  return content;
}
