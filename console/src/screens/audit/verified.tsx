import { useConsole } from "../../app/context";
import { to } from "../../app/router";
import { Card, Facts } from "../../parts/page";
import { Empty, sentence } from "../../parts/states";
import { Table } from "../../parts/table";
import { None, Tag } from "../../parts/tag";
import { Exact } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useText, type Text } from "../../text/catalogue";

type Found = Result<"audit.verify">;
type Witness = NonNullable<Found["peers"]>[number];

/** The result of a verification: each contradiction, and what the site and its peers signed. */
export function Verified({ found }: { found: Found }) {
  const text = useText();
  const { signed, peers } = found;
  return (
    <Card title={text.audit.result}>
      <div class="body">
        {found.intact ? (
          <p class="note good">
            {text.audit.intact(found.entries)} <code class="break">{found.head}</code>
          </p>
        ) : (
          <ul class="note bad">
            {contradictions(found, text).map(({ words, problem }) => (
              <li key={words}>
                <strong>{words}</strong> {problem ? <span lang="en">{sentence(problem)}</span> : null}
              </li>
            ))}
          </ul>
        )}
        <Facts
          facts={[
            [
              text.audit.signed,
              signed ? (
                <>
                  {text.audit.signedEntry(signed.entry, signed.key_event)}, <Exact at={signed.at} />
                </>
              ) : (
                text.audit.neverSigned
              ),
            ],
          ]}
        />
      </div>
      {peers ? <Witnesses peers={peers} /> : null}
    </Card>
  );
}

interface Contradiction {
  words: string;
  /** In the words of the site, which are English. */
  problem?: string | null | undefined;
}

function contradictions(found: Found, text: Text): Contradiction[] {
  const { broken, problem, flaws, unlike_signed, peers } = found;
  return [
    ...(typeof broken === "number" ? [{ words: text.audit.broken(broken), problem }] : []),
    ...(flaws?.length ? [{ words: text.audit.damaged, problem: flaws.join("; ") }] : []),
    ...(typeof unlike_signed === "number" ? [{ words: text.audit.unlikeSigned(unlike_signed) }] : []),
    ...(peers ?? []).flatMap(({ zone, differs }) =>
      differs ? [{ words: `${zone}: ${text.audit.differences[differs.problem](differs.entry)}` }] : [],
    ),
  ];
}

function Witnesses({ peers }: { peers: readonly Witness[] }) {
  const text = useText();
  const { may } = useConsole();
  if (peers.length === 0) return <Empty title={text.audit.noPeers}>{text.audit.noPeersAbout}</Empty>;
  return (
    <Table
      caption={text.audit.peers}
      entries={peers}
      id={({ peer }) => peer}
      columns={[
        {
          title: text.overview.peer,
          is: "name",
          cell: ({ peer, zone }) => (may("peer.show") ? <a href={to("peers", peer)}>{zone}</a> : zone),
        },
        {
          title: text.audit.answer,
          cell: ({ answered, problem }) =>
            answered ? (
              <Tag mood="good">{text.audit.answered}</Tag>
            ) : (
              <>
                <Tag mood="warn">{text.audit.notAnswered}</Tag>{" "}
                {problem ? <span lang="en">{sentence(problem)}</span> : null}
              </>
            ),
        },
        { title: text.audit.heads, cell: ({ heads }) => heads },
        {
          title: text.audit.confirmed,
          cell: ({ confirmed }) => (confirmed ? text.audit.upTo(confirmed) : <None />),
        },
        {
          title: text.audit.difference,
          cell: ({ differs }) =>
            differs ? (
              <>
                <Tag mood="bad">{text.audit.differences[differs.problem](differs.entry)}</Tag>{" "}
                <Exact at={differs.seen} />
              </>
            ) : (
              <None />
            ),
        },
      ]}
    />
  );
}
