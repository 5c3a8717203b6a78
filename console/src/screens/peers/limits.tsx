import { Card } from "../../parts/page";
import { Table } from "../../parts/table";
import { Tag } from "../../parts/tag";
import { Duration, Time } from "../../parts/time";
import type { Result } from "../../site/contract";
import { useLanguage, useText } from "../../text/catalogue";

type Shows = Result<"peer.show">;

/** The rate limits of a peer with their use, and its breaches of the protocol. */
export function Limits({ limits, breaches }: Pick<Shows, "limits" | "breaches">) {
  const text = useText();
  const language = useLanguage();
  const kinds: Readonly<Record<string, string>> = text.peers.limits.kinds;
  return (
    <Card title={text.peers.limits.title} about={text.peers.limits.about}>
      <Table
        caption={text.peers.limits.title}
        entries={limits ?? []}
        id={(limit) => limit.of}
        columns={[
          { title: text.peers.limits.of, is: "name", cell: (limit) => kinds[limit.of] ?? limit.of },
          { title: text.peers.limits.burst, cell: ({ burst }) => burst.toLocaleString(language) },
          { title: text.peers.limits.every, cell: ({ every }) => <Duration milliseconds={every} /> },
          {
            title: text.peers.limits.now,
            cell: ({ wait }) =>
              wait ? (
                <>
                  <Tag mood="warn">{text.peers.limits.used}</Tag> {text.peers.limits.next}{" "}
                  <Duration milliseconds={wait} />
                </>
              ) : (
                <span class="soft">{text.peers.limits.free}</span>
              ),
          },
        ]}
      />
      <div class="body">
        {breaches ? (
          <p>
            <strong>{text.peers.breaches.weight(breaches.weight, breaches.limit)}</strong>{" "}
            {text.peers.breaches.since} <Time at={breaches.since} />.{" "}
            {text.peers.breaches.about(breaches.limit)}
          </p>
        ) : (
          <p class="soft">{text.peers.breaches.none}</p>
        )}
      </div>
    </Card>
  );
}
