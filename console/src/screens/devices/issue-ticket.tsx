import { useEffect, useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Copy } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { Form, Input, Select } from "../../parts/form";
import { ProofField, isOwnName } from "../../parts/proof-field";
import { Qr } from "../../parts/qr";
import { Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { isRelay } from "../../site/relay";
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
  const { site, me } = useConsole();
  const [person, setPerson] = useState(given ?? "");
  const [hours, setHours] = useState("1");
  const [proof, setProof] = useState("");
  const [ticket, setTicket] = useState<Result<"ticket.issue">>();
  const doing = useDoing();
  const own = isOwnName(person, me.name);
  return (
    <Dialog title={kind === "device" ? text.devices.enrol : text.people.passPhraseTicket} close={close} wide>
      {ticket ? (
        <Issued ticket={ticket} kind={kind} close={close} used={() => done?.()} />
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

/** How often the state of a ticket that is on the screen is read, in milliseconds. */
const WATCH = 1_500;

function Issued({
  ticket,
  kind,
  close,
  used,
}: {
  ticket: Result<"ticket.issue">;
  kind: Kind;
  close: () => void;
  used: () => void;
}) {
  const text = useText();
  const list = useQuery("ticket.list", { person: ticket.person, limit: 1000 }, { every: WATCH });
  const now = list.data?.entries.find(({ id }) => id === ticket.id);
  const state = now?.state ?? "open";
  useEffect(() => {
    if (state === "bound") used();
  }, [state]);
  const command =
    kind === "device"
      ? `countersign enrol --id ${ticket.person} --device-name laptop`
      : `countersign passphrase set --id ${ticket.person}`;
  const page = `${location.origin}${location.pathname}#/ticket`;
  return (
    <>
      <p class={`note ${state === "bound" ? "good" : state === "open" ? "" : "warn"}`} role="status">
        {state === "bound" ? (
          <strong>{kind === "device" ? text.tickets.enrolled : text.tickets.passPhraseSet}</strong>
        ) : state === "open" ? (
          <>
            {text.tickets.waiting} <Time at={ticket.expires} />
          </>
        ) : (
          (text.states as Readonly<Record<string, string>>)[state]
        )}
      </p>
      {state === "open" ? (
        <div class="ticket">
          <Qr value={ticket.qr_uri} name={text.tickets.qr} />
          <div>
            <p>{text.tickets.once}</p>
            <p>
              {text.tickets.idNeeded} <strong>{ticket.person}</strong>
            </p>
            <Copy name={text.tickets.ticket} value={ticket.uri} secret />
            <p class="small soft">{text.tickets.commandAbout}</p>
            <Copy name={text.tickets.command} value={command} />
            {kind === "passphrase" && !isRelay() ? (
              <>
                <p class="small soft">{text.tickets.pageAbout}</p>
                <Copy name={text.tickets.page} value={page} />
              </>
            ) : null}
          </div>
        </div>
      ) : null}
      {state === "bound" && kind === "device" ? <Bound device={now?.device} person={ticket.person} /> : null}
      <div class="buttons">
        <Button look="main" onClick={close}>
          {text.common.close}
        </Button>
      </div>
    </>
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
