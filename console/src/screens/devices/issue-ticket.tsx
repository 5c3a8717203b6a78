import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { Tag } from "../../parts/tag";
import { TicketDialog } from "../../parts/ticket-dialog";
import { useText } from "../../text/catalogue";

interface Props {
  kind: "device" | "passphrase";
  /** The person; asked for if absent. */
  person?: string;
  /** The entity tag of the person that the page shows. */
  etag?: string;
  /** Reads the person again, after the site refused the entity tag. */
  reload?: () => void;
  close: () => void;
  /** The ticket was issued, or was used. */
  done?: () => void;
}

/** Issues a ticket with which a person enrols a device or sets a pass phrase. */
export function IssueTicket({ kind, person: given, etag, reload, close, done }: Props) {
  const text = useText();
  const { site, home } = useConsole();
  const [if_match] = useState(etag);
  const isDevice = kind === "device";
  const url = useQuery("site.status", {}, { when: !isDevice }).data?.listen.public_url;
  // The admin may have come to the site by another way than the person will.
  const page = url ? `${url.replace(/\/+$/, "")}/console/` : home;
  return (
    <TicketDialog
      title={isDevice ? text.devices.enrol : text.people.passPhraseTicket}
      about={isDevice ? text.tickets.deviceAbout : text.tickets.passPhraseAbout}
      person={given}
      label={text.tickets.person}
      issue={async (params) => {
        const ticket = await site.call("ticket.issue", { ...params, kind, if_match });
        done?.();
        return ticket;
      }}
      handover={({ person, uri }) => ({
        named: true,
        whenUsed: () => done?.(),
        ...(isDevice
          ? {
              used: text.tickets.enrolled,
              command: `countersign enrol --id ${person} --device-name laptop`,
              result: ({ device }) => <Bound device={device} person={person} />,
            }
          : {
              used: text.tickets.passPhraseSet,
              command: `countersign passphrase set --id ${person}`,
              link: page && `${page}#/ticket/${encodeURIComponent(uri)}`,
            }),
      })}
      {...(reload ? { reload } : {})}
      close={close}
    />
  );
}

function Bound({ device, person }: { device: string | null | undefined; person: string }) {
  const list = useQuery("device.list", { person, limit: 1000 });
  const found = list.data?.entries.find(({ id }) => id === device);
  if (!found) return null;
  return (
    <p>
      <Tag mood="good">{found.name}</Tag> <code class="break">{found.thumbprint}</code>
    </p>
  );
}
