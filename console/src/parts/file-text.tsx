import { useId } from "preact/hooks";
import { Input } from "./form";

interface Props {
  /** The label of the field that takes a file. */
  file: string;
  label: string;
  field: string;
  help?: string;
  lines?: number;
  value: string;
  set: (content: string) => void;
}

/** A text that comes from a file or is pasted. The file stays on this machine until the form is sent. */
export function FileText({ file, lines = 4, set, ...input }: Props) {
  const id = useId();
  return (
    <>
      <div class="field">
        <label for={id}>{file}</label>
        <input
          id={id}
          class="input"
          type="file"
          onChange={(event) => {
            void event.currentTarget.files?.[0]?.text().then(set);
          }}
        />
      </div>
      <Input {...input} set={set} lines={lines} mono />
    </>
  );
}
