import { useConsole } from "../app/context";
import { useText } from "../text/catalogue";
import { AccountName, Input, PROOF } from "./form";

/** One's own pass phrase, which a change of one's own credentials needs. */
export function ProofField({
  value,
  set,
  help = true,
}: {
  value: string;
  set: (value: string) => void;
  help?: boolean;
}) {
  const text = useText();
  const { me } = useConsole();
  return (
    <>
      <AccountName name={me.name} />
      <Input
        label={text.common.proof}
        field={PROOF}
        help={help ? text.common.proofHelp : undefined}
        type="password"
        autocomplete="current-password"
        value={value}
        set={set}
      />
    </>
  );
}
