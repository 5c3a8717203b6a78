import { useQuery } from "../../app/queries";
import { Card } from "../../parts/page";
import { Shown } from "../../parts/states";
import { Table } from "../../parts/table";
import { Exact } from "../../parts/time";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";

/** The keys of the site since its creation. */
export function KeyEvents() {
  const text = useText();
  const reading = useQuery("site.key_events", {});
  return (
    <Card title={text.keys.events} about={text.keys.eventsAbout}>
      <Shown reading={reading}>
        {({ events }) => (
          <Table
            caption={text.keys.events}
            entries={events}
            id={({ number }) => String(number)}
            columns={[
              { title: text.keys.event, is: "name", cell: ({ number }) => <strong>{number}</strong> },
              { title: text.keys.time, cell: ({ time }) => <Exact at={time} /> },
              { title: text.keys.siteKey, cell: ({ site_key }) => <code class="id">{site_key}</code> },
              {
                title: text.keys.compromised,
                cell: ({ compromised_since }) =>
                  compromised_since ? <Exact at={compromised_since} /> : <None />,
              },
            ]}
          />
        )}
      </Shown>
    </Card>
  );
}
