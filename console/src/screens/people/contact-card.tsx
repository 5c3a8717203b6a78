import { useState } from "preact/hooks";
import { useConsole, type Console } from "../../app/context";
import { Button } from "../../parts/button";
import { Card, Facts } from "../../parts/page";
import { useLanguage, useText } from "../../text/catalogue";
import type { Changed } from "./contact-lines";
import { EditContact } from "./edit-contact";

/** The site leaves out what is empty. */
export interface Contact {
  etag: string;
  emails?: readonly string[] | null | undefined;
  telephones?: readonly { label: string; number: string }[] | null | undefined;
  postal_address?:
    | {
        lines?: string[] | null | undefined;
        postal_code?: string | null | undefined;
        city?: string | null | undefined;
        region?: string | null | undefined;
        country?: string | null | undefined;
      }
    | null
    | undefined;
  language?: string | null | undefined;
}

interface Props {
  data: Contact;
  /** Attributes, which an admin alone changes. */
  attributes?: Record<string, unknown>;
  /** Changes of one's own email addresses need a fresh proof. */
  own?: boolean;
  save: (changed: Changed, console: Console) => Promise<unknown>;
  reload: () => void;
}

/** Contact data, of a person or one's own. */
export function ContactCard({ data, attributes, own = false, save, reload }: Props) {
  const text = useText();
  const nameOf = useCodeNames();
  const console = useConsole();
  const [editing, setEditing] = useState(false);
  const address = data.postal_address;
  const lines = address
    ? [
        ...(address.lines ?? []),
        [address.postal_code, address.city].filter(Boolean).join(" "),
        address.region,
        address.country ? nameOf("region", address.country) : "",
      ].filter(Boolean)
    : [];
  const emails = data.emails ?? [];
  const telephones = data.telephones ?? [];
  const pairs = Object.entries(attributes ?? {});
  const nothing = emails.length + telephones.length + lines.length + pairs.length === 0 && !data.language;
  return (
    <Card
      title={text.contact.title}
      actions={
        console.may(own ? "self.set_data" : "person.set_data") ? (
          <Button
            look="quiet"
            name={`${text.common.edit} ${text.contact.title}`}
            onClick={() => setEditing(true)}
          >
            {text.common.edit}
          </Button>
        ) : null
      }
    >
      {nothing ? (
        <div class="empty">
          <p>{text.contact.none}</p>
        </div>
      ) : (
        <div class="body">
          <Facts
            facts={[
              [text.contact.fields.emails, emails.length ? <Lines of={emails} /> : ""],
              [
                text.contact.fields.telephones,
                telephones.length ? (
                  <Lines
                    of={telephones.map(({ label, number }) => (label ? `${number} (${label})` : number))}
                  />
                ) : (
                  ""
                ),
              ],
              [text.contact.address, lines.length ? <Lines of={lines as string[]} /> : ""],
              [text.contact.fields.language, data.language ? nameOf("language", data.language) : ""],
              ...pairs.map(([key, value]) => [key, String(value)] as const),
            ]}
          />
        </div>
      )}
      {editing ? (
        <EditContact
          data={data}
          own={own}
          {...(attributes ? { attributes } : {})}
          close={() => setEditing(false)}
          save={(changed) => save(changed, console)}
          reload={reload}
        />
      ) : null}
    </Card>
  );
}

/** Names the code of a country or a language in the language of the page, as far as the browser knows it. */
function useCodeNames(): (type: "region" | "language", code: string) => string {
  const language = useLanguage();
  return (type, code) => {
    try {
      return new Intl.DisplayNames(language, { type }).of(code) ?? code;
    } catch {
      return code;
    }
  };
}

function Lines({ of }: { of: readonly string[] }) {
  return (
    <>
      {of.map((line) => (
        <div key={line}>{line}</div>
      ))}
    </>
  );
}
