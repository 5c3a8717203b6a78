import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { FormDialog } from "../../parts/form-dialog";
import { Input } from "../../parts/form";
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
  save: (changed: Changed) => Promise<unknown>;
  done: () => void;
}

/** The fields of the address, each with its parameter. */
const ADDRESS = ["lines", "postal_code", "city", "region", "country"] as const;
type Key = "emails" | "telephones" | (typeof ADDRESS)[number] | "language" | "attributes";
type Typed = Record<Key, string>;

const lines = (typed: string): string[] =>
  typed
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

export function EditContact({ data, attributes, own, close, save, done }: Props) {
  const text = useText();
  const { site } = useConsole();
  const address = data.postal_address;
  const start: Typed = {
    emails: (data.emails ?? []).join("\n"),
    telephones: (data.telephones ?? [])
      .map(({ label, number }) => (label ? `${label}: ${number}` : number))
      .join("\n"),
    lines: (address?.lines ?? []).join("\n"),
    postal_code: address?.postal_code ?? "",
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
        if (proves) await site.prove(proof);
        await save(changed);
      }}
      done={done}
    >
      {field("emails", 2)}
      {proves ? <ProofField value={proof} set={setProof} /> : null}
      {field("telephones", 2)}
      {field("lines", 2)}
      <div class="two">{ADDRESS.slice(1).map((key) => field(key))}</div>
      {field("language")}
      {attributes ? field("attributes", 3) : null}
    </FormDialog>
  );
}

function changes(start: Typed, typed: Typed, text: Text): Changed {
  const changed: Changed = {};
  if (typed.emails !== start.emails) changed.emails = lines(typed.emails);
  if (typed.telephones !== start.telephones) {
    changed.telephones = lines(typed.telephones).map((line) => {
      const [label, number] = line.includes(":") ? line.split(/:(.*)/) : ["", line];
      return { label: (label ?? "").trim(), number: (number ?? "").trim() };
    });
  }
  if (ADDRESS.some((key) => typed[key] !== start[key])) {
    const { postal_code, city, region, country } = typed;
    const rest = Object.entries({ postal_code, city, region, country });
    changed.postal_address = ADDRESS.every((key) => !typed[key].trim())
      ? null
      : { lines: lines(typed.lines), ...Object.fromEntries(rest.filter(([, value]) => value.trim())) };
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
