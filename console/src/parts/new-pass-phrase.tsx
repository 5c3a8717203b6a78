import { mistake } from "../site/contract";
import { useText, type Text } from "../text/catalogue";
import { Input } from "./form";

/** The command line has the same minimum. */
export const MIN_CHARACTERS = 12;

export interface NewPassPhrase {
  first: string;
  again: string;
}

/** Two fields for a new pass phrase. */
export function NewPassPhraseFields({
  value,
  set,
}: {
  value: NewPassPhrase;
  set: (value: NewPassPhrase) => void;
}) {
  const text = useText();
  return (
    <>
      <Input
        label={text.passPhrase.first}
        field="first"
        help={text.passPhrase.help(MIN_CHARACTERS)}
        type="password"
        autocomplete="new-password"
        value={value.first}
        set={(first) => set({ ...value, first })}
      />
      <Input
        label={text.passPhrase.again}
        field="again"
        type="password"
        autocomplete="new-password"
        value={value.again}
        set={(again) => set({ ...value, again })}
      />
    </>
  );
}

/** Throws what is wrong with the two. */
export function checkNewPassPhrase({ first, again }: NewPassPhrase, text: Text): void {
  if ([...first].length < MIN_CHARACTERS) throw mistake(text.passPhrase.short(MIN_CHARACTERS), "first");
  if (first !== again) throw mistake(text.passPhrase.differ, "again");
}
