import { useEffect, useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Copy } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { ProofField, isOwnName } from "../../parts/proof-field";
import { Qr } from "../../parts/qr";
import { Time } from "../../parts/time";
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
        <>
          <Watch ticket={ticket} joined={joined} />
          <div class="buttons">
            <Button look="main" onClick={close}>
              {text.common.close}
            </Button>
          </div>
        </>
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

function Watch({ ticket, joined }: { ticket: Result<"peer.ticket">; joined: () => void }) {
  const text = useText();
  const list = useQuery("ticket.list", { person: ticket.person, limit: 1000 }, { every: 1_500 });
  const state = list.data?.entries.find(({ id }) => id === ticket.id)?.state ?? "open";
  useEffect(() => {
    if (state === "bound") joined();
  }, [state]);
  return (
    <>
      <p class={`note ${state === "bound" ? "good" : state === "open" ? "" : "warn"}`} role="status">
        {state === "bound" ? (
          <strong>{text.peers.joined}</strong>
        ) : state === "open" ? (
          <>
            {text.tickets.waiting} <Time at={ticket.expires} />
          </>
        ) : (
          text.states[state]
        )}
      </p>
      {state === "open" ? (
        <div class="ticket">
          <Qr value={ticket.qr_uri} name={text.tickets.qr} />
          <div>
            <p>{text.tickets.once}</p>
            <Copy name={text.tickets.ticket} value={ticket.uri} secret />
            <p class="small soft">{text.tickets.commandAbout}</p>
            <Copy name={text.tickets.command} value="countersign peer join" />
          </div>
        </div>
      ) : null}
    </>
  );
}

/** Joins the site that issued a ticket. */
export function JoinPeer({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site, me, say } = useConsole();
  const [ticket, setTicket] = useState("");
  const [person, setPerson] = useState(me.name);
  const [proof, setProof] = useState("");
  const doing = useDoing();
  const own = isOwnName(person, me.name);
  return (
    <Dialog title={text.peers.join} close={close} wide>
      <p class="soft">{text.peers.joinAbout}</p>
      <Form
        doing={doing}
        button={text.peers.join}
        cancel={close}
        send={async () => {
          if (own) await site.prove(proof);
          const peer = await site.call("peer.join", { person: person.trim(), ticket: ticket.trim() });
          say(text.peers.isPeer(peer.zone));
          close();
          done();
        }}
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
      </Form>
    </Dialog>
  );
}
