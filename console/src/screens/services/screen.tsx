import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { go, to } from "../../app/router";
import { Button } from "../../parts/button";
import { LiftInRow, StateTags } from "../../parts/in-lockdown";
import { Page } from "../../parts/page";
import { Empty } from "../../parts/states";
import { List } from "../../parts/table";
import { Time } from "../../parts/time";
import { useText } from "../../text/catalogue";
import { CreateService } from "./create-service";
import { Service } from "./service";

export function Services({ place }: { place: string[] }) {
  return place[0] ? <Service name={place[0]} /> : <ServiceList />;
}

function ServiceList() {
  const text = useText();
  const { may } = useConsole();
  const [creating, create] = useState(false);
  const pages = usePages("service.list", {}, { on: ({ group }) => group === "lockdown" });
  return (
    <Page
      title={text.screens.services}
      about={text.services.about}
      actions={
        may("service.create") ? (
          <Button look="main" onClick={() => create(true)}>
            {text.services.create}
          </Button>
        ) : null
      }
    >
      <section class="card">
        <List
          caption={text.screens.services}
          id={({ id }) => id}
          pages={pages}
          empty={<Empty title={text.services.none}>{text.services.noneAbout}</Empty>}
          columns={[
            {
              title: text.people.name,
              is: "name",
              cell: ({ name }) => <a href={to("services", name)}>{name}</a>,
            },
            {
              title: text.people.fullName,
              cell: ({ full_name }) => <span class="break">{full_name || <span class="soft">–</span>}</span>,
            },
            { title: text.people.state, cell: (service) => <StateTags of={service} reason /> },
            { title: text.people.createdAt, cell: ({ created }) => <Time at={created} /> },
            {
              title: text.common.actions,
              is: "end",
              cell: (service) => (
                <LiftInRow
                  of={service}
                  name={service.name}
                  lifts={{ account: service.id }}
                  done={pages.reload}
                />
              ),
            },
          ]}
        />
      </section>
      {creating ? <CreateService close={() => create(false)} done={(name) => go("services", name)} /> : null}
    </Page>
  );
}
