import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { to } from "../../app/router";
import { Act } from "../../parts/button";
import { Page } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { StateTag } from "../../parts/tag";
import { Time } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { useStateFilter } from "./shared";

/** Messages about alarms: by e-mail and as short texts. */
export function Deliveries() {
  const text = useText();
  const { site } = useConsole();
  const [params, filter] = useStateFilter(
    "all",
    (["waiting", "sent", "dead", "cancelled"] as const).map((state) => [state, text.states[state]]),
  );
  const pages = usePages("alarm.deliveries", params, { every: 10_000 });
  return (
    <Page
      wide
      title={text.alarms.deliveries}
      about={text.alarms.deliveriesAbout}
      back={{ href: to("alarms"), words: text.screens.alarms }}
    >
      <section class="card">
        {filter}
        <List
          caption={text.alarms.deliveries}
          id={({ id }) => id}
          pages={pages}
          empty={<Empty title={text.alarms.noDeliveries}>{text.alarms.noDeliveriesAbout}</Empty>}
          columns={[
            { title: text.alarms.to, is: "name", cell: (delivery) => delivery.to },
            {
              title: text.alarms.one,
              cell: ({ alarm }) => <a href={to("alarms", alarm)}>{text.overview.open}</a>,
            },
            { title: text.alarms.channel, cell: ({ channel }) => text.alarms.channels[channel] },
            { title: text.alarms.state, cell: (delivery) => <StateTag state={delivery.state} /> },
            { title: text.alarms.attempts, cell: ({ attempts }) => attempts },
            {
              title: text.alarms.due,
              cell: ({ due, state: now }) =>
                now === "waiting" ? <Time at={due} /> : <span class="soft">–</span>,
            },
            {
              title: text.alarms.lastError,
              cell: ({ last_error }) => (
                <span class="break" lang="en">
                  {last_error ?? "–"}
                </span>
              ),
            },
            {
              title: text.common.actions,
              is: "end",
              cell: (delivery) =>
                delivery.state === "dead" ? (
                  <Act
                    look="quiet"
                    act={() => site.call("alarm.retry", { id: delivery.id })}
                    said={text.alarms.retried}
                    done={pages.reload}
                  >
                    {text.alarms.retry}
                  </Act>
                ) : null,
            },
          ]}
        />
      </section>
    </Page>
  );
}
