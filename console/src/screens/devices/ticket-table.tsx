import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { AccountLink } from "../../parts/account-link";
import { Confirm } from "../../parts/confirm";
import { Card } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { None, StateTag } from "../../parts/tag";
import { Time, useExact } from "../../parts/time";
import { useText, wordOf } from "../../text/catalogue";

interface Props {
  /** The person whose tickets are shown; absent for those of all. */
  person?: string;
  /** The list is of all people, or of one that was chosen. */
  all?: boolean;
  /** Reads again when it changes. */
  renewed?: number;
}

/** Tickets of one person, or of all. */
export function TicketTable({ person: only, all = false, renewed = 0 }: Props) {
  const text = useText();
  const exact = useExact();
  const { site, may } = useConsole();
  const tickets = usePages("ticket.list", only ? { person: only } : {}, { every: 10_000, after: renewed });
  const kindOf = (kind: string): string => wordOf(text.tickets.kinds, kind);
  return (
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
          ...(all
            ? [
                {
                  title: text.tickets.person,
                  is: "name" as const,
                  cell: ({ person }: { person?: string | null | undefined }) =>
                    person ? <AccountLink name={person} /> : <None />,
                },
              ]
            : []),
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
              state === "open" || state === "expired" ? <Time at={expires} /> : <None />,
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
  );
}
