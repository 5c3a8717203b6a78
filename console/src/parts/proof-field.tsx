import { useText } from "../text/catalogue";
import { Input } from "./form";

/** One's own pass phrase, which a change of one's own credentials needs. */
export function ProofField({ value, set }: { value: string; set: (value: string) => void }) {
  const text = useText();
  return (
    <Input
      label={text.common.proof}
      field="current"
      help={text.common.proofHelp}
      type="password"
      autocomplete="current-password"
      value={value}
      set={set}
    />
  );
}
