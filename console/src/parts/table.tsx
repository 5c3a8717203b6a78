import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useText } from "../text/catalogue";
import type { Damaged, Pages } from "../app/queries";
import { Button } from "./button";
import { Failed, sentence, Stale, Unread, Waiting } from "./states";

export interface Column<T> {
  /** The heading; unseen for the column of actions. */
  title: string;
  /** The role of the column: the name of the row, its actions, or data. */
  is?: "name" | "end";
  /**
   * `row` names the row as no other of the list, for its buttons. Text of people and programs has the class `break`, since
   * a word in it may be wider than the table.
   */
  cell: (entry: T, row: string) => ComponentChildren;
}

interface Props<T> {
  caption: string;
  columns: readonly Column<T>[];
  entries: readonly T[];
  id: (entry: T) => string;
  /** The name of a row, and what tells it from another with that name. */
  row?: (entry: T) => readonly [string, string];
}

/** The name of each row: with what tells it apart where its name alone does not, and with a number where neither does. */
export function rowNames(rows: readonly (readonly [string, string])[]): string[] {
  const count = counted(rows.map(([name]) => name));
  const told = rows.map(([name, more]) => (count.get(name) === 1 || !more ? name : `${name}, ${more}`));
  const again = counted(told);
  const before = new Map<string, number>();
  return told.map((name) => {
    if (again.get(name) === 1) return name;
    before.set(name, (before.get(name) ?? 0) + 1);
    return `${name} (${before.get(name)})`;
  });
}

function counted(names: readonly string[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return count;
}

/** A table. On a narrow screen each row becomes a block with labels. */
export function Table<T>({ caption, columns, entries, id, row }: Props<T>) {
  const rows = rowNames(entries.map(row ?? ((entry) => [id(entry), ""])));
  return (
    <table class="table">
      <caption class="unseen">{caption}</caption>
      <thead>
        <tr>
          {columns.map((column) => (
            <th key={column.title} scope="col">
              {column.is === "end" ? <span class="unseen">{column.title}</span> : column.title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {entries.map((entry, at) => (
          <tr key={id(entry)} tabIndex={-1}>
            {columns.map((column) => (
              <td key={column.title} class={column.is ?? ""} data-label={column.title}>
                {column.is === "end" ? (
                  <div class="buttons">{column.cell(entry, rows[at] ?? "")}</div>
                ) : (
                  <div>{column.cell(entry, rows[at] ?? "")}</div>
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What the site has and cannot read, below what it can. */
function Unreadable({ rows }: { rows: readonly Damaged[] }) {
  const text = useText();
  if (rows.length === 0) return null;
  return (
    <div class="stale">
      {rows.map(({ name, id, zone, site, problem }) => (
        <p key={name ?? id ?? site} class="break">
          {text.common.damaged([name ?? id ?? zone, site && `(${site})`].filter(Boolean).join(" "))}{" "}
          <span lang="en">{sentence(problem)}</span>
        </p>
      ))}
    </div>
  );
}

interface ListProps<T> extends Omit<Props<T>, "entries"> {
  pages: Pages<T>;
  empty: ComponentChildren;
}

/** A table that is read page by page. */
export function List<T>({ pages, empty, ...table }: ListProps<T>) {
  const text = useText();
  const area = useRef<HTMLDivElement>(null);
  /** How many rows there were when further ones were asked for, and whether that failed. */
  const [asked, ask] = useState<{ at?: number; failed?: boolean }>({});
  const count = pages.entries?.length ?? 0;
  useLayoutEffect(() => {
    if (asked.at === undefined || pages.isGrowing) return;
    ask({ failed: pages.failure !== undefined });
    // A keyboard would have to be led back from the end of the list.
    const isHere = document.activeElement === document.body || area.current?.contains(document.activeElement);
    if (count > asked.at && isHere)
      area.current?.querySelectorAll<HTMLElement>("tbody > tr")[asked.at]?.focus();
  }, [asked, count, pages.isGrowing, pages.failure]);
  if (pages.entries === undefined) {
    return pages.failure ? (
      <Unread failure={pages.failure} again={pages.reload} />
    ) : (
      <Waiting words={text.common.reading} />
    );
  }
  if (pages.entries.length + pages.damaged.length === 0) return <>{empty}</>;
  return (
    <div ref={area}>
      <Stale failure={asked.failed ? undefined : pages.failure} />
      <Table {...table} entries={pages.entries} />
      <Unreadable rows={pages.damaged} />
      {pages.more ? (
        <div class="more">
          <span role="status">{text.common.firstEntries(count)}</span>
          <Button
            look="quiet"
            busy={pages.isGrowing}
            onClick={() => {
              ask({ at: count });
              pages.showMore();
            }}
          >
            {pages.isGrowing ? text.common.reading : text.common.showMore}
          </Button>
          {asked.failed ? <Failed failure={pages.failure} /> : null}
        </div>
      ) : null}
    </div>
  );
}
