import { useState } from "preact/hooks";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { ProofField } from "../../parts/proof-field";
import { mistake } from "../../site/contract";
import { useText, type Text } from "../../text/catalogue";
import type { Contact } from "./contact-card";

/** What the operations `set_data` take: only what was changed. */
export interface Changed {
  emails?: string[];
  telephones?: { label: string; number: string }[];
  postal_address?: {
    lines: string[];
    postal_code?: string;
    city?: string;
    region?: string;
    country?: string;
  } | null;
  language?: string | null;
  attributes?: Record<string, string | null>;
}

interface Props {
  data: Contact;
  attributes?: Record<string, unknown>;
  own: boolean;
  close: () => void;
  save: (changed: Changed, proof: string | undefined) => Promise<void>;
}

const lines = (typed: string): string[] =>
  typed
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

export function EditContact({ data, attributes, own, close, save }: Props) {
  const text = useText();
  const address = data.postal_address;
  const start = {
    emails: (data.emails ?? []).join("\n"),
    telephones: (data.telephones ?? [])
      .map(({ label, number }) => (label ? `${label}: ${number}` : number))
      .join("\n"),
    street: (address?.lines ?? []).join("\n"),
    code: address?.postal_code ?? "",
    city: address?.city ?? "",
    region: address?.region ?? "",
    country: address?.country ?? "",
    language: data.language ?? "",
    attributes: Object.entries(attributes ?? {})
      .map(([key, value]) => `${key}: ${String(value)}`)
      .join("\n"),
  };
  const [typed, set] = useState(start);
  const [proof, setProof] = useState("");
  const doing = useDoing();
  const change = (key: keyof typeof start) => (value: string) => set({ ...typed, [key]: value });
  const proves = own && typed.emails !== start.emails;
  return (
    <Dialog title={text.contact.edit} close={close} wide>
      <Form
        doing={doing}
        button={text.common.save}
        cancel={close}
        send={() => save(changes(start, typed, text), proves ? proof : undefined)}
      >
        <Input
          label={text.contact.emails}
          field="emails"
          help={text.contact.emailsHelp}
          lines={2}
          value={typed.emails}
          set={change("emails")}
        />
        {proves ? <ProofField value={proof} set={setProof} /> : null}
        <Input
          label={text.contact.telephones}
          field="telephones"
          help={text.contact.telephonesHelp}
          lines={2}
          value={typed.telephones}
          set={change("telephones")}
        />
        <Input
          label={text.contact.street}
          field="postal_address.lines"
          lines={2}
          value={typed.street}
          set={change("street")}
        />
        <div class="two">
          <Input
            label={text.contact.code}
            field="postal_address.postal_code"
            value={typed.code}
            set={change("code")}
          />
          <Input
            label={text.contact.city}
            field="postal_address.city"
            value={typed.city}
            set={change("city")}
          />
          <Input
            label={text.contact.region}
            field="postal_address.region"
            value={typed.region}
            set={change("region")}
          />
          <Input
            label={text.contact.country}
            field="postal_address.country"
            help={text.contact.countryHelp}
            value={typed.country}
            set={change("country")}
          />
        </div>
        <Input
          label={text.contact.language}
          field="language"
          help={text.contact.languageHelp}
          value={typed.language}
          set={change("language")}
        />
        {attributes ? (
          <Input
            label={text.contact.attributes}
            field="attributes"
            help={text.contact.attributesHelp}
            lines={3}
            value={typed.attributes}
            set={change("attributes")}
          />
        ) : null}
      </Form>
    </Dialog>
  );
}

type Typed = Record<
  "emails" | "telephones" | "street" | "code" | "city" | "region" | "country" | "language" | "attributes",
  string
>;

function changes(start: Typed, typed: Typed, text: Text): Changed {
  const changed: Changed = {};
  if (typed.emails !== start.emails) changed.emails = lines(typed.emails);
  if (typed.telephones !== start.telephones) {
    changed.telephones = lines(typed.telephones).map((line) => {
      const [label, number] = line.includes(":") ? line.split(/:(.*)/) : ["", line];
      return { label: (label ?? "").trim(), number: (number ?? "").trim() };
    });
  }
  const parts = ["street", "code", "city", "region", "country"] as const;
  if (parts.some((part) => typed[part] !== start[part])) {
    const { street, code, city, region, country } = typed;
    changed.postal_address = parts.every((part) => !typed[part].trim())
      ? null
      : {
          lines: lines(street),
          ...(code ? { postal_code: code } : {}),
          ...(city ? { city } : {}),
          ...(region ? { region } : {}),
          ...(country ? { country } : {}),
        };
  }
  if (typed.language !== start.language) changed.language = typed.language.trim() || null;
  if (typed.attributes !== start.attributes) {
    const pairs = (value: string): Map<string, string> =>
      new Map(
        lines(value).map((line) => {
          const at = line.indexOf(":");
          if (at < 1) throw mistake(text.contact.attributeWrong(line), "attributes");
          return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
        }),
      );
    const [old, now] = [pairs(start.attributes), pairs(typed.attributes)];
    changed.attributes = {};
    for (const [key, value] of now) if (old.get(key) !== value) changed.attributes[key] = value;
    for (const key of old.keys()) if (!now.has(key)) changed.attributes[key] = null;
  }
  return changed;
}
