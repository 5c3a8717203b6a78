import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { go, to } from "../../app/router";
import { AuditLinks } from "../../parts/account-link";
import { Act, Button } from "../../parts/button";
import { save } from "../../parts/copy";
import { GiveBack } from "../../parts/give-back";
import { InLockdown, StateTags } from "../../parts/in-lockdown";
import { Card, Facts, Page } from "../../parts/page";
import { Removals } from "../../parts/removals";
import { Shown } from "../../parts/states";
import { Exact } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";
import { IssueTicket } from "../devices/issue-ticket";
import { DeviceTable } from "../devices/device-table";
import { TicketTable } from "../devices/ticket-table";
import { SessionTable } from "../sessions/session-table";
import { TokenTable } from "../tokens/token-table";
import { ContactCard } from "./contact-card";
import { EditAccount } from "./account-forms";

type Shows = Result<"person.show">;

/** One person: data, devices, sessions, and what an admin can do. */
export function Person({ name }: { name: string }) {
  const text = useText();
  const { me, may } = useConsole();
  const [ticket, setTicket] = useState<"device" | "passphrase">();
  const reading = useQuery("person.show", { name }, { on: ({ group }) => group === "lockdown" });
  return (
    <Page
      wide
      title={name}
      back={{ href: to("people"), words: text.screens.people }}
      actions={
        reading.data ? <Actions person={reading.data} issue={setTicket} reload={reading.reload} /> : null
      }
    >
      <Shown reading={reading}>
        {(person) => (
          <>
            <InLockdown of={person} name={person.name} lifts={{ account: person.id }} done={reading.reload} />
            <div class="two">
              <AccountCard person={person} reload={reading.reload} />
              <ContactCard
                data={person}
                attributes={person.attributes ?? {}}
                save={({ attributes, ...params }, { site }) =>
                  site.call("person.set_data", {
                    name: person.name,
                    ...params,
                    ...(attributes ? { attributes } : {}),
                  })
                }
                reload={reading.reload}
              />
            </div>
            <DeviceTable person={person.name} />
            {may("ticket.list") ? <TicketTable person={person.name} /> : null}
            <SessionTable name={person.name} />
            {may("token.list") ? (
              <Card title={text.screens.tokens}>
                <TokenTable account={person.name} />
              </Card>
            ) : null}
            {ticket ? (
              <IssueTicket
                person={person.name}
                etag={person.etag}
                kind={ticket}
                reload={reading.reload}
                close={() => setTicket(undefined)}
                done={reading.reload}
              />
            ) : null}
            <Removals
              of="person"
              name={person.name}
              own={person.id === me.id}
              object={person}
              reload={reading.reload}
            />
          </>
        )}
      </Shown>
    </Page>
  );
}

interface ActionsProps {
  person: Shows;
  issue: (kind: "device" | "passphrase") => void;
  reload: () => void;
}

function Actions({ person, issue, reload }: ActionsProps) {
  const text = useText();
  const { may } = useConsole();
  const { name, etag, state, lockdown } = person;
  return (
    <>
      {state === "active" && !lockdown && may("ticket.issue") ? (
        <>
          <Button onClick={() => issue("device")}>{text.devices.enrol}</Button>
          <Button look="main" onClick={() => issue("passphrase")}>
            {text.people.passPhraseTicket}
          </Button>
        </>
      ) : null}
      <GiveBack of="person" name={name} etag={etag} state={state} reload={reload} />
    </>
  );
}

function AccountCard({ person, reload }: { person: Shows; reload: () => void }) {
  const text = useText();
  const { site, may } = useConsole();
  const [editing, setEditing] = useState(false);
  return (
    <Card
      title={text.people.account}
      actions={
        <>
          {may("person.dump") ? (
            <Act
              look="quiet"
              said={text.people.dumped(person.name)}
              act={async () =>
                save(
                  `${person.name}.json`,
                  JSON.stringify(await site.call("person.dump", { name: person.name }), null, 2),
                )
              }
            >
              {text.people.dumpAction}
            </Act>
          ) : null}
          {may("person.update") ? (
            <Button
              look="quiet"
              name={`${text.common.edit} ${text.people.account}`}
              onClick={() => setEditing(true)}
            >
              {text.common.edit}
            </Button>
          ) : null}
        </>
      }
    >
      <div class="body">
        <Facts
          facts={[
            [text.people.fullName, person.full_name],
            [text.people.role, text.roles[person.role]],
            [text.people.state, <StateTags of={person} />],
            [
              text.people.passPhrase,
              person.passphrase_set ? <Exact at={person.passphrase_set} /> : text.people.noPassPhrase,
            ],
            [text.people.createdAt, <Exact at={person.created} />],
            [text.people.changedAt, <Exact at={person.changed} />],
            [text.people.id, <code>{person.id}</code>],
            [
              text.screens.audit,
              may("audit.list") ? <AuditLinks target={person.name} actor={person.name} /> : "",
            ],
          ]}
        />
      </div>
      {editing ? (
        <EditAccount
          person={person}
          reload={reload}
          close={() => setEditing(false)}
          done={({ name }) => (name === person.name ? reload() : go("people", name))}
        />
      ) : null}
    </Card>
  );
}
