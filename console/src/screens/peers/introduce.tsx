import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { useForPerson } from "../../parts/for-person";
import { Input } from "../../parts/form";
import { FormDialog } from "../../parts/form-dialog";
import { TicketDialog } from "../../parts/ticket-dialog";
import { mistake } from "../../site/contract";
import { faultOf } from "../../site/ticket";
import { useText } from "../../text/catalogue";

interface Props {
  /** The person of this site; asked for if absent. */
  person?: string;
  close: () => void;
  /** The other site is a peer. */
  done?: () => void;
}

/** What a dialog is about, after the news that it is in vain while the peer server is stopped. Members cannot ask. */
function useAbout(about: string): string {
  const text = useText();
  const { may } = useConsole();
  const { data } = useQuery("peer.status", {}, { when: may("peer.status") });
  return data && !data.listens ? `${text.peers.serverNeeded} ${about}` : about;
}

/** Issues a ticket with which another site becomes a peer. */
export function PeerTicket({ person, close, done }: Props) {
  const text = useText();
  const { site, me } = useConsole();
  const about = useAbout(text.peers.ticketAbout);
  return (
    <TicketDialog
      title={text.peers.ticket}
      about={about}
      person={person}
      first={me.name}
      label={text.peers.person}
      help={text.peers.personHelp}
      issue={(params) => site.call("peer.ticket", params)}
      handover={() => ({
        used: text.peers.joined,
        whenUsed: () => done?.(),
        commandAbout: text.peers.commandAbout,
        command: "countersign peer join --for PERSON",
      })}
      close={close}
    />
  );
}

/** Joins the site that issued a ticket. */
export function JoinPeer({ person: given, close, done }: Props) {
  const text = useText();
  const { site, me } = useConsole();
  const [ticket, setTicket] = useState("");
  const about = useAbout(text.peers.joinAbout);
  const { person, field, proof, prove } = useForPerson({
    person: given,
    first: me.name,
    label: text.peers.person,
    help: text.peers.personJoinHelp,
  });
  return (
    <FormDialog
      title={text.peers.join}
      about={about}
      button={text.peers.join}
      wide
      close={close}
      send={async () => {
        if (!ticket.trim()) throw mistake(text.useTicket.ticketMissing, "ticket");
        const fault = await faultOf(ticket);
        if (fault) throw mistake(text.peers.ticketFaults[fault], "ticket");
        await prove();
        return site.call("peer.join", { person, ticket: ticket.trim() });
      }}
      said={({ zone }) => text.peers.isPeer(zone)}
      {...(done ? { done } : {})}
    >
      <Input
        label={text.useTicket.ticket}
        field="ticket"
        lines={4}
        mono
        value={ticket}
        set={setTicket}
        placeholder="countersign://…"
      />
      {field}
      {proof}
    </FormDialog>
  );
}
