import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { AccountLink } from "../../parts/account-link";
import { Address } from "../../parts/address";
import { Confirm } from "../../parts/confirm";
import { Card } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { StateTag, Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import { useText, wordOf } from "../../text/catalogue";

interface Props {
  /** The account whose sessions are shown; absent for those of all. */
  name?: string;
  /** The list is of all accounts, or of one that was chosen. */
  all?: boolean;
}

/** Open sessions: of one account, or of all. The list renews itself. */
export function SessionTable({ name, all = false }: Props) {
  const text = useText();
  const { site, me, may } = useConsole();
  const pages = usePages("session.list", name ? { name } : {}, { every: 5_000 });
  const own = me.session;
  return (
    <Card title={all ? text.overview.sessions : text.screens.sessions} about={text.sessions.live}>
      <List
        caption={text.screens.sessions}
        id={({ id }) => id}
        row={(session) => [session.name, session.address]}
        pages={pages}
        empty={<Empty title={text.sessions.none}>{text.sessions.noneAbout}</Empty>}
        columns={[
          ...(!all
            ? []
            : [
                {
                  title: text.sessions.account,
                  is: "name" as const,
                  cell: (session: { name: string; role: string }) => (
                    <AccountLink name={session.name} is={session.role === "service" ? "service" : "person"} />
                  ),
                },
              ]),
          {
            title: text.sessions.from,
            cell: ({ address }) => (
              <code>
                <Address of={address} />
              </code>
            ),
          },
          {
            title: text.sessions.proof,
            cell: ({ proof }) => wordOf(text.proofs, proof),
          },
          { title: text.sessions.option, cell: ({ option }) => <code class="break">{option}</code> },
          { title: text.sessions.opened, cell: ({ opened }) => <Time at={opened} /> },
          {
            title: text.sessions.ends,
            // A suspended session ends before, after a time that the site's configuration sets.
            cell: ({ ends, connected }) =>
              connected ? <Time at={ends} /> : <span class="soft">{text.sessions.endsSoon}</span>,
          },
          {
            title: text.sessions.state,
            cell: ({ id, connected }) =>
              id === own ? (
                <Tag mood="good">{text.sessions.yours}</Tag>
              ) : (
                <StateTag state={connected ? "connected" : "suspended"} />
              ),
          },
          {
            title: text.common.actions,
            is: "end",
            cell: (session, row) =>
              may("session.cut") && session.id !== own ? (
                <Confirm
                  look="quiet danger"
                  typed={false}
                  target={session.name}
                  row={row}
                  title={text.sessions.cutTitle(session.name)}
                  explanation={text.sessions.cutAbout}
                  act={() => site.call("session.cut", { id: session.id })}
                  said={text.sessions.wasCut(session.name)}
                  done={pages.reload}
                >
                  {text.sessions.cut}
                </Confirm>
              ) : null,
          },
        ]}
      />
    </Card>
  );
}
