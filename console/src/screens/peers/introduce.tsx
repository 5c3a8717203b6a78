import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { FormDialog } from "../../parts/form-dialog";
import { Handover } from "../../parts/handover";
import { ProofField, isOwnName } from "../../parts/proof-field";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

/** Issues a ticket with which another site becomes a peer. Watches for its use. */
export function PeerTicket({ close, joined }: { close: () => void; joined: () => void }) {
  const text = useText();
  const { site, me } = useConsole();
  const [person, setPerson] = useState(me.name);
  const [proof, setProof] = useState("");
  const [ticket, setTicket] = useState<Result<"peer.ticket">>();
  const doing = useDoing();
  const own = isOwnName(person, me.name);
  return (
    <Dialog title={text.peers.ticket} close={close} wide>
      {ticket ? (
        <Handover
          ticket={ticket}
          used={text.peers.joined}
          whenUsed={joined}
          command="countersign peer join"
          close={close}
        />
      ) : (
        <>
          <p class="soft">{text.peers.ticketAbout}</p>
          <Form
            doing={doing}
            button={text.tickets.issue}
            cancel={close}
            send={async () => {
              if (own) await site.prove(proof);
              setTicket(await site.call("peer.ticket", { person: person.trim() }));
            }}
          >
            <Input
              label={text.peers.person}
              field="person"
              help={text.peers.personHelp}
              value={person}
              set={setPerson}
            />
            {own ? <ProofField value={proof} set={setProof} /> : null}
          </Form>
        </>
      )}
    </Dialog>
  );
}

/** Joins the site that issued a ticket. */
export function JoinPeer({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site, me } = useConsole();
  const [ticket, setTicket] = useState("");
  const [person, setPerson] = useState(me.name);
  const [proof, setProof] = useState("");
  const own = isOwnName(person, me.name);
  return (
    <FormDialog
      title={text.peers.join}
      about={text.peers.joinAbout}
      button={text.peers.join}
      wide
      close={close}
      send={async () => {
        if (own) await site.prove(proof);
        return site.call("peer.join", { person: person.trim(), ticket: ticket.trim() });
      }}
      said={({ zone }) => text.peers.isPeer(zone)}
      done={done}
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
      <Input
        label={text.peers.person}
        field="person"
        help={text.peers.personJoinHelp}
        value={person}
        set={setPerson}
      />
      {own ? <ProofField value={proof} set={setProof} /> : null}
    </FormDialog>
  );
}
