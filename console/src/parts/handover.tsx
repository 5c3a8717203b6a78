import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { useQuery } from "../app/queries";
import type { Result } from "../site/contract";
import { opensAnywhere } from "../site/this-machine";
import { useText } from "../text/catalogue";
import { Button } from "./button";
import { Copy } from "./copy";
import { Qr } from "./qr";
import { Time } from "./time";

/** How often the state of a ticket that is on the screen is read, in milliseconds. */
const WATCH = 1_500;

type Used = Result<"ticket.show">;

interface Props {
  ticket: { id: string; person: string; uri: string; qr_uri: string; expires: string };
  /** What is said once the ticket was used. */
  used: string;
  whenUsed: () => void;
  /** The command that asks for the ticket. */
  command: string;
  /** Where the command is run; in any terminal by default. */
  commandAbout?: string;
  /** Opens the page that uses the ticket, which is in the link. The camera of a phone opens no other address. */
  link?: string | undefined;
  /** The user of the ticket needs to know the name of the person. */
  named?: boolean;
  /** What is shown of its use. */
  result?: (entry: Used) => ComponentChildren;
  close: () => void;
}

/** Shows a ticket once, as QR code, link or text, and command, while it watches for its use. */
export function Handover({
  ticket,
  used,
  whenUsed,
  command,
  commandAbout,
  link,
  named = false,
  result,
  close,
}: Props) {
  const text = useText();
  const { data: entry } = useQuery("ticket.show", { id: ticket.id }, { every: WATCH });
  const state = entry?.state ?? "open";
  const whys: Readonly<Record<string, string>> = text.tickets.whys;
  const scanned = link && opensAnywhere(link) ? link : undefined;
  useEffect(() => {
    if (state === "bound") whenUsed();
  }, [state]);
  return (
    <>
      <p class={`note ${state === "bound" ? "good" : state === "open" ? "" : "warn"}`}>
        <span role="status">
          {state === "bound" ? (
            <strong>{used}</strong>
          ) : state === "open" ? (
            text.tickets.waiting
          ) : (
            <>
              <strong>{text.states[state]}.</strong> {whys[entry?.why ?? ""]} {text.tickets.anew}
            </>
          )}
        </span>
        {/* Outside of what is announced: the words for the time change by themselves. */}
        {state === "open" ? (
          <>
            {" "}
            {text.tickets.itExpires} <Time at={ticket.expires} />.
          </>
        ) : null}
      </p>
      {state === "open" ? (
        <div class="ticket">
          <Qr value={scanned ?? ticket.qr_uri} name={scanned ? text.tickets.linkQr : text.tickets.qr} />
          <div>
            <p>{text.tickets.once}</p>
            {named ? (
              <p>
                {text.tickets.idNeeded} <strong>{ticket.person}</strong>
              </p>
            ) : null}
            {link ? (
              <>
                <p class="small soft">{scanned ? text.tickets.linkAbout : text.tickets.linkHere}</p>
                <Copy name={text.tickets.link} value={link} secret />
                <p class="small soft">{text.tickets.orCommand}</p>
                <Copy name={text.tickets.command} value={command} />
                <Copy name={text.tickets.ticket} value={ticket.uri} secret />
              </>
            ) : (
              <>
                <Copy name={text.tickets.ticket} value={ticket.uri} secret />
                <p class="small soft">{commandAbout ?? text.tickets.commandAbout}</p>
                <Copy name={text.tickets.command} value={command} />
              </>
            )}
          </div>
        </div>
      ) : null}
      {entry && state === "bound" ? result?.(entry) : null}
      <div class="buttons">
        <Button look="main" onClick={close}>
          {text.common.close}
        </Button>
      </div>
    </>
  );
}
