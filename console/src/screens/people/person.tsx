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
  const { may } = useConsole();
  const reading = useQuery("person.show", { name }, { on: ({ group }) => group === "lockdown" });
  return (
    <Page
      wide
      title={name}
      back={{ href: to("people"), words: text.screens.people }}
      actions={reading.data ? <Actions person={reading.data} reload={reading.reload} /> : null}
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
            <Danger person={person} reload={reading.reload} />
          </>
        )}
      </Shown>
    </Page>
  );
}

function Actions({ person, reload }: { person: Shows; reload: () => void }) {
  const text = useText();
  const { may } = useConsole();
  const [ticket, setTicket] = useState<"device" | "passphrase">();
  const { name, etag, state, lockdown } = person;
  return (
    <>
      {ticket ? (
        <IssueTicket
          person={name}
          etag={etag}
          kind={ticket}
          reload={reload}
          close={() => setTicket(undefined)}
          done={reload}
        />
      ) : null}
      {state === "active" && !lockdown && may("ticket.issue") ? (
        <>
          <Button onClick={() => setTicket("device")}>{text.devices.enrol}</Button>
          <Button look="main" onClick={() => setTicket("passphrase")}>
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

function Danger({ person, reload }: { person: Shows; reload: () => void }) {
  const text = useText();
  const { site, me, say } = useConsole();
  const { name, state } = person;
  // No account gives its own access back.
  const light = name !== me.name;
  const then = (words: string) => () => {
    say(words);
    reload();
  };
  return (
    <Removals
      target={name}
      etag={person.etag}
      reload={reload}
      removals={[
        {
          needs: "person.lock",
          when: state === "active",
          light,
          words: text.people.lock,
          title: text.people.lockTitle(name),
          about: text.people.lockAbout,
          act: (_, if_match) => site.call("person.lock", { name, if_match }),
          done: then(text.people.locked(name)),
        },
        {
          needs: "person.disable",
          when: state !== "disabled",
          light,
          words: text.people.disable,
          title: text.people.disableTitle(name),
          about: text.people.disableAbout,
          act: (_, if_match) => site.call("person.disable", { name, if_match }),
          done: reload,
        },
        {
          needs: "lockdown.person",
          when: !person.lockdown,
          light,
          reasoned: true,
          words: text.people.lockdown,
          title: text.people.lockdownTitle(name),
          about: text.people.lockdownAbout,
          act: (reason, if_match) => site.call("lockdown.person", { name, reason, if_match }),
          done: then(text.lockdown.imposed(name)),
        },
        {
          needs: "person.delete",
          words: text.people.delete,
          title: text.people.deleteTitle(name),
          about: text.people.deleteAbout,
          act: (_, if_match) => site.call("person.delete", { name, if_match }),
          done: () => {
            say(text.people.deleted(name));
            go("people");
          },
        },
      ]}
    />
  );
}
