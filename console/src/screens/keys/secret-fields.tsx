import { FileField } from "../../parts/file-field";
import { Input, Select } from "../../parts/form";
import { useText } from "../../text/catalogue";

export interface Typed {
  kind: "passphrase" | "recovery_code" | "slot_file";
  value: string;
}

/** The parameter of the operations. */
export const secretOf = ({ kind, value }: Typed): Record<string, string> => ({
  [kind]: kind === "passphrase" ? value : value.trim(),
});

interface Props {
  legend: string;
  /** The parameter, as failures name it. */
  field: string;
  value: Typed;
  set: (value: Typed) => void;
  /** A new secret, which has no recovery code. */
  fresh?: boolean;
}

/** A secret that opens a key: pass phrase, recovery code or slot file. */
export function SecretFields({ legend, field, value, set, fresh = false }: Props) {
  const text = useText();
  const { kinds } = text.keys;
  return (
    <fieldset class="form">
      <legend>{legend}</legend>
      <Select
        label={text.keys.kind}
        value={value.kind}
        set={(kind) => set({ kind, value: "" })}
        options={[
          ["passphrase", kinds.passphrase] as const,
          ...(fresh ? [] : [["recovery_code", kinds.recovery_code] as const]),
          ["slot_file", kinds.file] as const,
        ]}
      />
      {value.kind === "slot_file" ? (
        <FileField label={kinds.file} set={(content) => set({ ...value, value: content })} />
      ) : (
        <Input
          label={kinds[value.kind]}
          field={`${field}.${value.kind}`}
          type="password"
          // With any other word a password manager offers the account's pass phrase, which the site must not get.
          autocomplete={fresh ? "new-password" : "one-time-code"}
          value={value.value}
          set={(typed) => set({ ...value, value: typed })}
        />
      )}
    </fieldset>
  );
}
