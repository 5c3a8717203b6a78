import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input, Select } from "../../parts/form";
import { Handover } from "../../parts/handover";
import { ProofField, isOwnName } from "../../parts/proof-field";
import { Tag } from "../../parts/tag";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Kind = "device" | "passphrase";
interface Props {
  kind: Kind;
  /** The person; asked for if absent. */
  person?: string;
  close: () => void;
  /** The ticket was issued, or was used. */
  done?: () => void;
}

/** Issues a ticket and shows it once, as QR code, text and command, while it watches for its use. */
export function IssueTicket({ kind, person: given, close, done }: Props) {
  const text = useText();
  const { site, me, home } = useConsole();
  const [person, setPerson] = useState(given ?? "");
  const [hours, setHours] = useState("1");
  const [proof, setProof] = useState("");
  const [ticket, setTicket] = useState<Result<"ticket.issue">>();
  const doing = useDoing();
  const own = isOwnName(person, me.name);
  return (
    <Dialog title={kind === "device" ? text.devices.enrol : text.people.passPhraseTicket} close={close} wide>
      {ticket ? (
        <Handover
          ticket={ticket}
          named
          {...(kind === "device"
            ? {
                used: text.tickets.enrolled,
                command: `countersign enrol --id ${ticket.person} --device-name laptop`,
                result: ({ device }) => <Bound device={device} person={ticket.person} />,
              }
            : {
                used: text.tickets.passPhraseSet,
                command: `countersign passphrase set --id ${ticket.person}`,
                page: home && `${home}#/ticket`,
              })}
          whenUsed={() => done?.()}
          close={close}
        />
      ) : (
        <>
          <p class="soft">{kind === "device" ? text.tickets.deviceAbout : text.tickets.passPhraseAbout}</p>
          <Form
            doing={doing}
            button={text.tickets.issue}
            cancel={close}
            send={async () => {
              if (own) await site.prove(proof);
              setTicket(
                await site.call("ticket.issue", {
                  person: person.trim(),
                  kind,
                  expires_in: Number(hours) * 3600,
                }),
              );
              done?.();
            }}
          >
            {given ? null : (
              <Input label={text.tickets.person} field="person" value={person} set={setPerson} />
            )}
            <Select
              label={text.tickets.valid}
              field="expires_in"
              value={hours}
              set={setHours}
              options={[
                ["1", text.tickets.hours(1)],
                ["24", text.tickets.days(1)],
                ["168", text.tickets.days(7)],
              ]}
            />
            {own ? <ProofField value={proof} set={setProof} /> : null}
          </Form>
        </>
      )}
    </Dialog>
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
