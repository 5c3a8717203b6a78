import { useMemo, useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { usePages } from "../../app/queries";
import { go, useFilter } from "../../app/router";
import { AccountLink } from "../../parts/account-link";
import { Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Input } from "../../parts/form";
import { GiveBack } from "../../parts/give-back";
import { LiftInRow, StateTags } from "../../parts/in-lockdown";
import { Page } from "../../parts/page";
import { Consequences } from "../../parts/removals";
import { Empty, Waiting } from "../../parts/states";
import { List, type Column } from "../../parts/table";
import type { Result } from "../../site/contract";
import { None } from "../../parts/tag";
import { useText } from "../../text/catalogue";
import { IssueTicket } from "../devices/issue-ticket";
import { CreatePerson, LoadPerson } from "./account-forms";

type Account = Result<"person.list">["entries"][number];

/** People; the site searches them. */
export function PeopleList() {
  const text = useText();
  const { may } = useConsole();
  const [{ search: typed }, filter] = useFilter({ search: "" });
  const [open, setOpen] = useState<"create" | "load">();
  const search = typed.trim();
  const pages = usePages("person.list", search ? { search } : {}, {
    on: ({ group }) => group === "lockdown",
  });
  const [ticketFor, setTicketFor] = useState<Account>();
  const columns = useColumns(setTicketFor, pages.reload);
  // A letter that is typed leaves the rows as they are until their successors were read.
  const list = useMemo(
    () => (
      <List
        caption={text.screens.people}
        columns={columns}
        id={({ id }) => id}
        pages={pages}
        empty={<Waiting words={text.common.reading} />}
      />
    ),
    [pages.entries, pages.more, pages.failure, pages.isGrowing, columns, text],
  );
  return (
    <Page
      wide
      title={text.screens.people}
      about={text.people.about}
      actions={
        <>
          {may("person.load") ? <Button onClick={() => setOpen("load")}>{text.people.load}</Button> : null}
          {may("person.create") ? (
            <Button look="main" onClick={() => setOpen("create")}>
              {text.people.create}
            </Button>
          ) : null}
        </>
      }
    >
      <div class="search">
        <Input
          label={text.people.search}
          type="search"
          value={typed}
          set={(search) => filter({ search })}
          help={text.people.searchHint}
        />
      </div>
      <section class="card" aria-busy={!pages.isCurrent}>
        {pages.entries?.length === 0 ? (
          !pages.isCurrent ? (
            <Waiting words={text.common.reading} />
          ) : search ? (
            <Empty title={text.people.notFound(search)}>{text.people.notFoundAbout}</Empty>
          ) : (
            <Empty title={text.people.none}>{text.people.noneAbout}</Empty>
          )
        ) : (
          list
        )}
      </section>
      <p class="unseen" role="status">
        {search && pages.isCurrent && pages.entries
          ? text.people.found(pages.entries.length, pages.more)
          : ""}
      </p>
      {ticketFor ? (
        <IssueTicket
          person={ticketFor.name}
          etag={ticketFor.etag}
          kind="passphrase"
          reload={pages.reload}
          close={() => setTicketFor(undefined)}
        />
      ) : null}
      {open === "create" ? (
        <CreatePerson close={() => setOpen(undefined)} done={({ name }) => go("people", name)} />
      ) : null}
      {open === "load" ? (
        <LoadPerson close={() => setOpen(undefined)} done={({ name }) => go("people", name)} />
      ) : null}
    </Page>
  );
}

/** `issue` opens the dialog for a ticket. A dialog in a row would go with the row. */
function useColumns(issue: (person: Account) => void, reload: () => void): Column<Account>[] {
  const text = useText();
  const { site, me, may } = useConsole();
  return useMemo(
    () => [
      {
        title: text.people.name,
        is: "name",
        cell: ({ name }) => <AccountLink name={name} />,
      },
      {
        title: text.people.fullName,
        cell: ({ full_name }) => <span class="break">{full_name || <None />}</span>,
      },
      { title: text.people.role, cell: ({ role }) => text.roles[role] },
      { title: text.people.state, cell: (person) => <StateTags of={person} reason /> },
      {
        title: text.common.actions,
        is: "end",
        cell: (person) => {
          const { id, name, etag, state, lockdown } = person;
          return (
            <>
              {may("ticket.issue") && state === "active" && !lockdown ? (
                <Button
                  look="quiet"
                  name={`${text.people.passPhraseTicket} ${name}`}
                  onClick={() => issue(person)}
                >
                  {text.people.passPhraseTicket}
                </Button>
              ) : null}
              {state === "active" && may("person.lock") ? (
                <Confirm
                  look="quiet danger"
                  typed={id === me.id}
                  target={name}
                  title={text.people.lockTitle(name)}
                  explanation={<Consequences verb="lock" own={id === me.id} about={text.people.lockAbout} />}
                  etag={etag}
                  reload={reload}
                  act={(_, if_match) => site.call("person.lock", { name, if_match })}
                  said={text.people.locked(name)}
                  done={reload}
                >
                  {text.people.lock}
                </Confirm>
              ) : null}
              <GiveBack of="person" name={name} etag={etag} state={state} look="quiet" reload={reload} />
              <LiftInRow of={person} name={name} lifts={{ account: id }} done={reload} />
            </>
          );
        },
      },
    ],
    [text, site, me, may, issue, reload],
  );
}
