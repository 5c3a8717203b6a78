import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { Account } from "../../parts/account-link";
import { Confirm } from "../../parts/confirm";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { None, Tag } from "../../parts/tag";
import { Time } from "../../parts/time";
import { useText } from "../../text/catalogue";

interface Props {
  /** The account whose tokens are shown; absent for those of all. */
  account?: string;
  /** The list is of all accounts, or of one that was chosen. */
  all?: boolean;
  /** Reads again when it changes. */
  renewed?: number;
}

/** Access tokens of one account, or of all. */
export function TokenTable({ account: only, all = false, renewed = 0 }: Props) {
  const text = useText();
  const { site, me, may } = useConsole();
  const pages = usePages("token.list", only ? { account: only } : {}, { after: renewed });
  return (
    <List
      caption={text.screens.tokens}
      id={({ id }) => id}
      row={({ id, label, account }) => [label || id, account ?? id]}
      pages={pages}
      empty={<Empty title={text.tokens.none}>{text.tokens.noneAbout}</Empty>}
      columns={[
        {
          title: text.tokens.label,
          is: "name",
          cell: ({ id, label }) => <strong class="break">{label || id}</strong>,
        },
        ...(all
          ? [
              {
                title: text.tokens.account,
                cell: ({ account }: { account?: string | null | undefined }) =>
                  account ? <Account name={account} /> : <None />,
              },
            ]
          : []),
        {
          title: text.tokens.operations,
          cell: ({ operations }) => <Names operations={operations} />,
        },
        {
          title: text.tokens.expires,
          cell: ({ expired, expires }) =>
            expired ? <Tag mood="plain">{text.states.expired}</Tag> : <Time at={expires} />,
        },
        {
          title: text.tokens.used,
          cell: ({ last_used }) =>
            last_used ? <Time at={last_used} /> : <span class="soft">{text.tokens.never}</span>,
        },
        {
          title: text.common.actions,
          is: "end",
          cell: ({ id, label, account }, row) =>
            may("token.revoke") ? (
              <Confirm
                look="quiet danger"
                typed={account !== me.name}
                target={label || id}
                row={row}
                title={text.tokens.revokeTitle(label || id)}
                explanation={text.tokens.revokeAbout}
                act={() => site.call("token.revoke", { id })}
                said={text.tokens.revoked}
                done={pages.reload}
              >
                {text.devices.revoke}
              </Confirm>
            ) : null,
        },
      ]}
    />
  );
}

/** The most operations that the list shows without being asked. */
const FEW = 4;

/** The operations that a token names. */
function Names({ operations }: { operations: readonly string[] }) {
  const text = useText();
  const names = <code class="names">{operations.join(" ")}</code>;
  if (operations.length <= FEW) return names;
  return (
    <details>
      <summary>{text.tokens.count(operations.length)}</summary>
      {names}
    </details>
  );
}
