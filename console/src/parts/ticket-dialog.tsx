import type { ComponentProps } from "preact";
import { useState } from "preact/hooks";
import { isStale, useDoing } from "../app/queries";
import { useText } from "../text/catalogue";
import { Dialog } from "./dialog";
import { useForPerson } from "./for-person";
import { Form, Select } from "./form";
import { Handover } from "./handover";

type HandoverProps = ComponentProps<typeof Handover>;
type Ticket = HandoverProps["ticket"];

interface Props {
  title: string;
  /** What the ticket does. */
  about: string;
  /** The person of the ticket; asked for if absent. */
  person?: string | undefined;
  /** The name that is typed at first. */
  first?: string;
  label: string;
  help?: string;
  /** Issues the ticket. Its lifetime is in seconds. */
  issue: (params: { person: string; expires_in: number }) => Promise<Ticket>;
  /** How the ticket is handed over. */
  handover: (ticket: Ticket) => Omit<HandoverProps, "ticket" | "close">;
  /** Reads the person again. Called when the dialog closes after the site refused the entity tag of the person. */
  reload?: () => void;
  close: () => void;
}

/** Issues a ticket and shows it once, as QR code, text and command, while it watches for its use. */
export function TicketDialog({ title, about, issue, handover, reload, close, ...asked }: Props) {
  const text = useText();
  const [hours, setHours] = useState("1");
  const [ticket, setTicket] = useState<Ticket>();
  const { person, field, proof, prove } = useForPerson(asked);
  const doing = useDoing();
  const leave = (): void => {
    if (isStale(doing.failure)) reload?.();
    doing.leave();
    close();
  };
  return (
    <Dialog title={ticket ? text.tickets.isIssued : title} close={leave} wide stays={ticket !== undefined}>
      {ticket ? (
        <Handover ticket={ticket} {...handover(ticket)} close={close} />
      ) : (
        <>
          <p class="soft">{about}</p>
          <Form
            doing={doing}
            button={text.tickets.issue}
            cancel={leave}
            send={async () => {
              await prove();
              setTicket(await issue({ person, expires_in: Number(hours) * 3600 }));
            }}
          >
            {field}
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
            {proof}
          </Form>
        </>
      )}
    </Dialog>
  );
}
