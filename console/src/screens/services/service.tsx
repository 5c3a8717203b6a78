import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { go, to } from "../../app/router";
import { AuditLinks } from "../../parts/account-link";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { GiveBack } from "../../parts/give-back";
import { InLockdown, StateTags } from "../../parts/in-lockdown";
import { Card, Facts, Page } from "../../parts/page";
import { Removals } from "../../parts/removals";
import { Empty, Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact } from "../../parts/time";
import type { Result } from "../../site/contract";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { SessionTable } from "../sessions/session-table";
import { TokenTable } from "../tokens/token-table";
import { AddKey } from "./create-service";

type Shows = Result<"service.show">;

/** One service: its keys and sessions. */
export function Service({ name }: { name: string }) {
  const text = useText();
  const { site, may, say } = useConsole();
  const [adding, add] = useState(false);
  const reading = useQuery("service.show", { name }, { on: ({ group }) => group === "lockdown" });
  return (
    <Page
      wide
      title={name}
      back={{ href: to("services"), words: text.screens.services }}
      actions={
        reading.data ? (
          <GiveBack
            of="service"
            etag={reading.data.etag}
            state={reading.data.state}
            name={name}
            reload={reading.reload}
          />
        ) : null
      }
    >
      <Shown reading={reading}>
        {(service) => (
          <>
            <InLockdown
              of={service}
              name={service.name}
              lifts={{ account: service.id }}
              done={reading.reload}
            />
            <Card title={text.people.account}>
              <div class="body">
                <Facts
                  facts={[
                    [text.people.fullName, service.full_name],
                    [text.people.state, <StateTags of={service} />],
                    [text.people.createdAt, <Exact at={service.created} />],
                    [text.people.id, <code>{service.id}</code>],
                    [
                      text.screens.audit,
                      may("audit.list") ? <AuditLinks target={service.name} actor={service.name} /> : "",
                    ],
                  ]}
                />
              </div>
            </Card>
            <Card
              title={text.services.keys}
              about={text.services.keysAbout}
              actions={
                may("key.add") ? (
                  <Button look="quiet" onClick={() => add(true)}>
                    {text.services.addKey}
                  </Button>
                ) : null
              }
            >
              {service.keys.length === 0 ? (
                <Empty title={text.services.noKeys}>{text.services.noKeysAbout}</Empty>
              ) : (
                <Table
                  caption={text.services.keys}
                  entries={service.keys}
                  id={({ thumbprint }) => thumbprint}
                  columns={[
                    {
                      title: text.services.thumbprint,
                      is: "name",
                      cell: ({ thumbprint }) => <code class="id">{thumbprint}</code>,
                    },
                    {
                      title: text.applications.label,
                      cell: ({ label }) => <span class="break">{label || <None />}</span>,
                    },
                    { title: text.applications.added, cell: ({ added }) => <Exact at={added} /> },
                    {
                      title: text.common.actions,
                      is: "end",
                      cell: ({ thumbprint }) =>
                        may("key.revoke") ? (
                          <Confirm
                            look="quiet danger"
                            target={thumbprint.slice(0, 8)}
                            title={text.services.revokeTitle}
                            explanation={text.services.revokeAbout}
                            act={() => site.call("key.revoke", { name, thumbprint })}
                            done={() => {
                              say(text.common.saved);
                              reading.reload();
                            }}
                          >
                            {text.devices.revoke}
                          </Confirm>
                        ) : null,
                    },
                  ]}
                />
              )}
            </Card>
            <SessionTable name={service.name} />
            {may("token.list") ? (
              <Card title={text.screens.tokens}>
                <TokenTable account={service.name} />
              </Card>
            ) : null}
            <Danger service={service} reload={reading.reload} />
            {adding ? <AddKey name={name} close={() => add(false)} done={reading.reload} /> : null}
          </>
        )}
      </Shown>
    </Page>
  );
}

function Danger({ service, reload }: { service: Shows; reload: () => void }) {
  const text = useText();
  const { site, say } = useConsole();
  const { name, state } = service;
  return (
    <Removals
      target={name}
      etag={service.etag}
      reload={reload}
      removals={[
        {
          needs: "service.lock",
          when: state === "active",
          light: true,
          words: text.people.lock,
          title: text.people.lockTitle(name),
          about: text.services.lockAbout,
          act: (_, if_match) => site.call("service.lock", { name, if_match }),
          done: reload,
        },
        {
          needs: "service.disable",
          when: state !== "disabled",
          light: true,
          words: text.people.disable,
          title: text.people.disableTitle(name),
          about: text.services.disableAbout,
          act: (_, if_match) => site.call("service.disable", { name, if_match }),
          done: reload,
        },
        {
          needs: "lockdown.service",
          when: !service.lockdown,
          reasoned: true,
          words: text.people.lockdown,
          title: text.people.lockdownTitle(name),
          about: text.services.lockdownAbout,
          act: (reason, if_match) => site.call("lockdown.service", { name, reason, if_match }),
          done: () => {
            say(text.lockdown.imposed(name));
            reload();
          },
        },
        {
          needs: "service.delete",
          words: text.people.delete,
          title: text.people.deleteTitle(name),
          about: text.services.deleteAbout,
          act: (_, if_match) => site.call("service.delete", { name, if_match }),
          done: () => go("services"),
        },
      ]}
    />
  );
}
