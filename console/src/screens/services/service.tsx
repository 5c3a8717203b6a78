import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
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
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { SessionTable } from "../sessions/session-table";
import { TokenTable } from "../tokens/token-table";
import { AddKey } from "./create-service";

/** One service: its keys and sessions. */
export function Service({ name }: { name: string }) {
  const text = useText();
  const { site, may } = useConsole();
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
                            said={text.services.keyRevoked}
                            done={reading.reload}
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
            <Removals of="service" name={service.name} object={service} reload={reading.reload} />
            {adding ? <AddKey name={name} close={() => add(false)} done={reading.reload} /> : null}
          </>
        )}
      </Shown>
    </Page>
  );
}
