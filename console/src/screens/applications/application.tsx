import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { to } from "../../app/router";
import { AuditLinks } from "../../parts/account-link";
import { Button } from "../../parts/button";
import { GiveBack } from "../../parts/give-back";
import { InLockdown, StateTags } from "../../parts/in-lockdown";
import { Card, Facts, Page } from "../../parts/page";
import { Removals } from "../../parts/removals";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact } from "../../parts/time";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { CanCall } from "./can-call";
import { EditApplication, RotateKey } from "./application-forms";
import { parties } from "./parties";

export function Application({ id }: { id: string }) {
  const text = useText();
  const { may } = useConsole();
  const reading = useQuery("app.show", { id }, { on: ({ group }) => group === "lockdown" });
  const [editing, edit] = useState(false);
  const [rotating, rotate] = useState(false);
  return (
    <Page
      title={id}
      back={{ href: to("applications"), words: text.screens.applications }}
      actions={
        reading.data ? (
          <GiveBack
            of="app"
            etag={reading.data.etag}
            state={reading.data.state}
            name={id}
            reload={reading.reload}
          />
        ) : null
      }
    >
      <Shown reading={reading}>
        {(app) => (
          <>
            <InLockdown of={app} name={app.id} lifts={{ app: app.id }} done={reading.reload} />
            <Card
              title={text.applications.registration}
              actions={
                may("app.update") ? (
                  <Button
                    look="quiet"
                    name={`${text.common.edit} ${text.applications.registration}`}
                    onClick={() => edit(true)}
                  >
                    {text.common.edit}
                  </Button>
                ) : null
              }
            >
              <div class="body">
                <Facts
                  facts={[
                    [text.applications.state, <StateTags of={app} />],
                    [
                      text.applications.mayCall,
                      parties(app.may_call, text).join(", ") || text.applications.nothing,
                    ],
                    [
                      text.applications.callers,
                      app.edition === "v2" ? app.callers?.join(", ") || text.applications.nothingOfPeers : "",
                    ],
                    [text.applications.groups, app.groups.join(", ")],
                    [text.applications.edition, <code>{app.edition}</code>],
                    [text.applications.lifetime, text.applications.seconds(app.keys_last / 1000)],
                    [
                      text.applications.service,
                      app.service && may("service.show") ? (
                        <a href={to("services", app.service)}>{app.service}</a>
                      ) : (
                        app.service
                      ),
                    ],
                    [
                      text.applications.authData,
                      app.auth_data === null ? "" : <code>{JSON.stringify(app.auth_data)}</code>,
                    ],
                    [text.people.createdAt, <Exact at={app.created} />],
                    [text.people.changedAt, <Exact at={app.changed} />],
                    [text.screens.audit, may("audit.list") ? <AuditLinks target={app.id} /> : ""],
                  ]}
                />
              </div>
            </Card>
            {may("app.ticket") ? <CanCall consumer={id} /> : null}
            <Card
              title={text.applications.keys}
              actions={
                may("app.rotate_key") ? (
                  <Button look="quiet" onClick={() => rotate(true)}>
                    {text.applications.rotate}
                  </Button>
                ) : null
              }
            >
              <Table
                caption={text.applications.keys}
                entries={app.keys}
                id={({ fingerprint }) => fingerprint}
                columns={[
                  {
                    title: text.applications.fingerprint,
                    is: "name",
                    cell: ({ fingerprint }) => <code class="id">{fingerprint}</code>,
                  },
                  {
                    title: text.applications.label,
                    cell: ({ label }) => <span class="break">{label || <None />}</span>,
                  },
                  { title: text.applications.added, cell: ({ added }) => <Exact at={added} /> },
                  {
                    title: text.applications.retires,
                    cell: ({ retires }) => (retires ? <Exact at={retires} /> : <None />),
                  },
                ]}
              />
            </Card>
            <Removals of="app" name={app.id} object={app} reload={reading.reload} />
            {editing ? <EditApplication app={app} close={() => edit(false)} done={reading.reload} /> : null}
            {rotating ? <RotateKey id={id} close={() => rotate(false)} done={reading.reload} /> : null}
          </>
        )}
      </Shown>
    </Page>
  );
}
