import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { go, useFilter } from "../../app/router";
import { AccountLink } from "../../parts/account-link";
import { Button } from "../../parts/button";
import { Input } from "../../parts/form";
import { LiftInRow, StateTags } from "../../parts/in-lockdown";
import { Page } from "../../parts/page";
import { Empty, Waiting } from "../../parts/states";
import { List } from "../../parts/table";
import { Time } from "../../parts/time";
import { None } from "../../parts/tag";
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
  const [{ search: typed }, filter] = useFilter({ search: "" });
  const search = typed.trim();
  const pages = usePages("service.list", search ? { search } : {}, {
    on: ({ group }) => group === "lockdown",
  });
  return (
    <Page
      wide
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
      <div class="search">
        <Input
          label={text.services.search}
          type="search"
          value={typed}
          set={(begin) => filter({ search: begin })}
        />
      </div>
      <section class="card" aria-busy={!pages.isCurrent}>
        <List
          caption={text.screens.services}
          id={({ id }) => id}
          pages={pages}
          empty={
            !pages.isCurrent ? (
              <Waiting words={text.common.reading} />
            ) : search ? (
              <Empty title={text.services.notFound(search)}>{text.people.notFoundAbout}</Empty>
            ) : (
              <Empty title={text.services.none}>{text.services.noneAbout}</Empty>
            )
          }
          columns={[
            {
              title: text.people.name,
              is: "name",
              cell: ({ name }) => <AccountLink name={name} is="service" />,
            },
            {
              title: text.people.fullName,
              cell: ({ full_name }) => <span class="break">{full_name || <None />}</span>,
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
