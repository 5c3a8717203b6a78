import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Card, Page } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { StateTag } from "../../parts/tag";
import { Time, useExact } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { DeviceTable } from "./device-table";
import { IssueTicket } from "./issue-ticket";

/** Devices and the tickets that enrol them. */
export function Devices() {
  const text = useText();
  const exact = useExact();
  const { site, me, may } = useConsole();
  const [issuing, issue] = useState(false);
  const [renewed, renew] = useState(0);
  const tickets = usePages("ticket.list", {}, { every: 10_000 });
  const admin = me.role === "admin";
  const kindOf = (kind: string): string =>
    (text.tickets.kinds as Readonly<Record<string, string>>)[kind] ?? kind;
  return (
    <Page
      title={text.screens.devices}
      about={admin ? text.devices.screenAbout : text.devices.screenAboutOwn}
      actions={
        may("ticket.issue") ? (
          <Button look="main" onClick={() => issue(true)}>
            {text.devices.enrol}
          </Button>
        ) : null
      }
    >
      <DeviceTable renewed={renewed} />
      <Card title={text.tickets.title} about={text.tickets.about}>
        <List
          caption={text.tickets.title}
          id={({ id }) => id}
          row={({ person, kind, issued }) =>
            person ? [person, `${kindOf(kind)}, ${exact(issued)}`] : [kindOf(kind), exact(issued)]
          }
          pages={tickets}
          empty={<Empty title={text.tickets.none}>{text.tickets.noneAbout}</Empty>}
          columns={[
            {
              title: text.tickets.person,
              is: "name",
              cell: ({ person }) => person ?? <span class="soft">–</span>,
            },
            {
              title: text.tickets.kind,
              cell: ({ kind }) => kindOf(kind),
            },
            {
              title: text.tickets.state,
              cell: ({ state, why }) => (
                <>
                  <StateTag state={state} />
                  {why === "there_is_an_admin" ? (
                    <div class="small soft">{text.tickets.thereIsAnAdmin}</div>
                  ) : null}
                </>
              ),
            },
            { title: text.tickets.issued, cell: ({ issued }) => <Time at={issued} /> },
            {
              title: text.tickets.expires,
              cell: ({ state, expires }) =>
                state === "open" || state === "expired" ? <Time at={expires} /> : <span class="soft">–</span>,
            },
            {
              title: text.common.actions,
              is: "end",
              cell: ({ id, state, person, kind }, row) =>
                state === "open" && may("ticket.revoke") ? (
                  <Confirm
                    look="quiet danger"
                    typed={false}
                    target={person ?? kindOf(kind)}
                    row={row}
                    title={person ? text.tickets.revokeTitle(person) : text.tickets.revokeAdminTitle}
                    explanation={text.tickets.revokeAbout}
                    act={() => site.call("ticket.revoke", { id })}
                    said={text.tickets.revoked}
                    done={tickets.reload}
                  >
                    {text.tickets.revoke}
                  </Confirm>
                ) : null,
            },
          ]}
        />
      </Card>
      {issuing ? (
        <IssueTicket
          kind="device"
          {...(admin ? {} : { person: me.name })}
          close={() => issue(false)}
          done={() => {
            renew(renewed + 1);
            tickets.reload();
          }}
        />
      ) : null}
    </Page>
  );
}
