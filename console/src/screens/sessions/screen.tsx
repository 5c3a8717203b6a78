import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { Act } from "../../parts/button";
import { useAccountFilter } from "../../parts/filter";
import { Card, Page } from "../../parts/page";
import { Empty, Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Time } from "../../parts/time";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { SessionTable } from "./session-table";

/** Open sessions, and the source addresses that the site holds off. */
export function Sessions() {
  const text = useText();
  const { may } = useConsole();
  const [account, filter] = useAccountFilter(text.sessions.account, ["person", "service"]);
  return (
    <Page
      wide
      title={text.screens.sessions}
      about={may("penalty.list") ? text.sessions.about : text.sessions.aboutOwn}
    >
      {filter}
      <SessionTable all {...(account ? { name: account } : {})} />
      {may("penalty.list") ? <Penalties /> : null}
    </Page>
  );
}

function Penalties() {
  const text = useText();
  const { site, may } = useConsole();
  const reading = useQuery("penalty.list", {}, { every: 5_000 });
  return (
    <Card title={text.penalties.title} about={text.penalties.about}>
      <Shown reading={reading}>
        {({ entries }) =>
          entries.length === 0 ? (
            <Empty title={text.penalties.none}>{text.penalties.noneAbout}</Empty>
          ) : (
            <Table
              caption={text.penalties.title}
              entries={entries}
              id={({ source }) => source}
              columns={[
                { title: text.penalties.source, is: "name", cell: ({ source }) => <code>{source}</code> },
                { title: text.penalties.points, cell: ({ points }) => points },
                {
                  title: text.penalties.until,
                  cell: ({ until }) => (until ? <Time at={until} /> : <None />),
                },
                {
                  title: text.common.actions,
                  is: "end",
                  cell: ({ source }) =>
                    may("penalty.forget") ? (
                      <Act
                        look="quiet"
                        name={`${text.penalties.forget} ${source}`}
                        act={() => site.call("penalty.forget", { source })}
                        said={text.penalties.forgotten(source)}
                        done={reading.reload}
                      >
                        {text.penalties.forget}
                      </Act>
                    ) : null,
                },
              ]}
            />
          )
        }
      </Shown>
    </Card>
  );
}
