import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages, type Renewal } from "../../app/queries";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Card, Page } from "../../parts/page";
import { Empty, sentence } from "../../parts/states";
import { List } from "../../parts/table";
import { Tag } from "../../parts/tag";
import { Time, useExact } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { WriteMessage } from "./write-message";

/** The alarm about a message tells that there is one. Nothing tells that a peer accepted one. */
const RENEWED: Renewal = { every: 10_000, on: ({ group }) => group === "alarm" };

/** One's own messages from and to people of peers. */
export function Messages() {
  const text = useText();
  const exact = useExact();
  const { site, me, may } = useConsole();
  const [to, write] = useState<string>();
  const inbox = usePages("peer.inbox", {}, RENEWED);
  const outbox = usePages("peer.outbox", {}, RENEWED);
  return (
    <Page
      wide
      title={text.screens.messages}
      about={text.messages.about}
      actions={
        may("peer.send") ? (
          <Button look="main" onClick={() => write("")}>
            {text.messages.write}
          </Button>
        ) : null
      }
    >
      <Card title={text.messages.inbox}>
        <List
          caption={text.messages.inbox}
          id={({ id }) => id}
          row={({ from, received }) => [from, exact(received)]}
          pages={inbox}
          empty={<Empty title={text.messages.none}>{text.messages.noneAbout}</Empty>}
          columns={[
            {
              title: text.messages.from,
              is: "name",
              cell: ({ from, peer }) => <span title={text.messages.fromAbout(peer)}>{from}</span>,
            },
            { title: text.messages.text, cell: (message) => <Words text={message.text} /> },
            { title: text.messages.received, cell: ({ received }) => <Time at={received} /> },
            {
              title: text.common.actions,
              is: "end",
              cell: ({ id, from }, row) => (
                <>
                  {may("peer.send") ? (
                    <Button look="quiet" name={`${text.messages.reply} ${row}`} onClick={() => write(from)}>
                      {text.messages.reply}
                    </Button>
                  ) : null}
                  <Discard
                    id={id}
                    name={from}
                    row={row}
                    title={text.messages.removeTitle(from)}
                    explanation={text.messages.removeAbout}
                    done={inbox.reload}
                  />
                </>
              ),
            },
          ]}
        />
      </Card>
      <Card
        title={text.messages.outbox}
        about={text.messages.outboxAbout}
        actions={
          outbox.entries?.some(({ state }) => state === "waiting") && may("peer.discard_waiting") ? (
            <Confirm
              look="quiet danger"
              typed={false}
              target={me.name}
              title={text.messages.withdrawAllTitle}
              explanation={text.messages.withdrawAllAbout}
              act={() => site.call("peer.discard_waiting", {})}
              said={text.messages.removedAll}
              done={outbox.reload}
            >
              {text.messages.withdrawAll}
            </Confirm>
          ) : null
        }
      >
        <List
          caption={text.messages.outbox}
          id={({ id }) => id}
          row={(message) => [message.to, exact(message.sent)]}
          pages={outbox}
          empty={<Empty title={text.messages.noneOut} />}
          columns={[
            { title: text.messages.to, is: "name", cell: (message) => message.to },
            { title: text.messages.text, cell: (message) => <Words text={message.text} /> },
            {
              title: text.messages.state,
              cell: ({ state, why }) =>
                state === "refused" ? (
                  <>
                    <Tag mood="warn">{text.messages.states.refused}</Tag>{" "}
                    <span lang="en">{why ? sentence(why) : ""}</span>
                  </>
                ) : (
                  <Tag mood="plain">{text.messages.states.waiting}</Tag>
                ),
            },
            { title: text.messages.sentAt, cell: ({ sent }) => <Time at={sent} /> },
            {
              title: text.common.actions,
              is: "end",
              cell: (message, row) => (
                <Discard
                  id={message.id}
                  name={message.to}
                  row={row}
                  title={text.messages.withdrawTitle(message.to)}
                  explanation={text.messages.withdrawAbout}
                  done={outbox.reload}
                />
              ),
            },
          ]}
        />
      </Card>
      {to === undefined ? null : <WriteMessage to={to} close={() => write(undefined)} done={outbox.reload} />}
    </Page>
  );
}

function Words({ text: words }: { text: string | null | undefined }) {
  const text = useText();
  return words ? <div class="message">{words}</div> : <span class="soft">{text.messages.damaged}</span>;
}

interface DiscardProps {
  id: string;
  /** The other person. */
  name: string;
  row: string;
  title: string;
  explanation: string;
  done: () => void;
}

function Discard({ id, name, row, title, explanation, done }: DiscardProps) {
  const text = useText();
  const { site, may } = useConsole();
  if (!may("peer.discard")) return null;
  return (
    <Confirm
      look="quiet danger"
      typed={false}
      target={name}
      row={row}
      title={title}
      explanation={explanation}
      act={() => site.call("peer.discard", { id })}
      said={text.messages.removed}
      done={done}
    >
      {text.messages.remove}
    </Confirm>
  );
}
