import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useConsole } from "../app/context";
import { isOwnName } from "./account-name";
import { AccountInput } from "./filter";
import { useProof } from "./proof-field";

interface Asked {
  /** The person; asked for if absent. */
  person?: string | undefined;
  /** The name that is typed at first. */
  first?: string;
  label: string;
  help?: string;
}

interface ForPerson {
  person: string;
  /** The field of the name; nothing if the person is given. */
  field: ComponentChildren;
  /** The field of the user's own pass phrase; nothing if the form is for another person. */
  proof: ComponentChildren;
  /** Proves the pass phrase if the form is for the user. Call it before the operation, when the rest is checked. */
  prove: () => Promise<void>;
}

/** The person whom a form concerns. For oneself, the site wants a proof of the pass phrase. */
export function useForPerson({ person: given, first = "", label, help }: Asked): ForPerson {
  const { me } = useConsole();
  const [typed, setTyped] = useState(given ?? first);
  const proof = useProof();
  const own = isOwnName(typed, me.name);
  return {
    person: typed.trim(),
    field: given ? null : (
      <AccountInput
        of={["person"]}
        label={label}
        field="person"
        {...(help === undefined ? {} : { help })}
        value={typed}
        set={setTyped}
      />
    ),
    proof: own ? proof.field : null,
    prove: async () => {
      if (own) await proof.prove();
    },
  };
}
