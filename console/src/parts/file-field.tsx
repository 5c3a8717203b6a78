import { useId } from "preact/hooks";

/** Reads a text file into a field. The file stays on this machine until the form is sent. */
export function FileField({ label, set }: { label: string; set: (content: string) => void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        class="input"
        type="file"
        onChange={(event) => {
          void event.currentTarget.files?.[0]?.text().then(set);
        }}
      />
    </div>
  );
}
