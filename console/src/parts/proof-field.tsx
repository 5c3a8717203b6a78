import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useConsole } from "../app/context";
import { Refusal, mistake } from "../site/contract";
import { useText } from "../text/catalogue";
import { AccountName, Input, PROOF } from "./form";

interface Proof {
  field: ComponentChildren;
  /** The pass phrase that was typed. Throws if there is none. */
  typed: () => string;
  /** Proves it to the site. Call it when everything else of the form is checked. */
  prove: () => Promise<void>;
}

/** One's own pass phrase, which a change of one's own credentials needs. */
export function useProof({ help = true } = {}): Proof {
  const text = useText();
  const { site, me } = useConsole();
  const [value, set] = useState("");
  const left = useRef(false);
  useEffect(
    () => () => {
      left.current = true;
    },
    [],
  );
  const typed = (): string => {
    if (!value) throw mistake(text.common.proofMissing, PROOF);
    return value;
  };
  return {
    field: (
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
    ),
    typed,
    prove: async () => {
      await site.prove(typed());
      // The form was cancelled meanwhile, so what the proof is for must not follow.
      if (left.current) throw new Refusal("withdrawn", "the form was left before its change was sent");
    },
  };
}
