import { useState } from "preact/hooks";
import { orReread } from "../../app/queries";
import { FormDialog } from "../../parts/form-dialog";
import { Input } from "../../parts/form";
import { useProof } from "../../parts/proof-field";
import { useText } from "../../text/catalogue";
import type { Contact } from "./contact-card";
import { ADDRESS, changes, written, type Changed, type Key } from "./contact-lines";

interface Props {
  data: Contact;
  attributes?: Record<string, unknown>;
  own: boolean;
  close: () => void;
  save: (changed: Changed) => Promise<unknown>;
  reload: () => void;
}

export function EditContact({ data, attributes, own, close, save, reload }: Props) {
  const text = useText();
  const [start] = useState(() => written(data, attributes));
  const [etag] = useState(data.etag);
  const [typed, set] = useState(start);
  const proof = useProof();
  const proves = own && typed.emails !== start.emails;
  /** The field of a key, whose texts have its name. */
  const field = (key: Key, rows?: number) => {
    const helps: Readonly<Partial<Record<Key, string>>> = text.contact.helps;
    return (
      <Input
        key={key}
        label={text.contact.fields[key]}
        field={(ADDRESS as readonly string[]).includes(key) ? `postal_address.${key}` : key}
        help={helps[key]}
        {...(rows === undefined ? {} : { lines: rows })}
        value={typed[key]}
        set={(value) => set({ ...typed, [key]: value })}
      />
    );
  };
  return (
    <FormDialog
      title={text.contact.edit}
      wide
      close={close}
      send={async () => {
        const changed = changes(start, typed, text);
        if (proves) await proof.prove();
        await orReread(save({ ...changed, if_match: etag }), reload);
      }}
      done={reload}
    >
      {field("emails", 2)}
      {proves ? proof.field : null}
      {field("telephones", 2)}
      {field("lines", 2)}
      <div class="two">{ADDRESS.slice(1).map((key) => field(key))}</div>
      {field("language")}
      {attributes ? field("attributes", 3) : null}
    </FormDialog>
  );
}
