import type { ComponentChildren } from "preact";
import { useText } from "../text/catalogue";
import type { Pages } from "../app/queries";
import { Button } from "./button";
import { Stale, Unread, Waiting } from "./states";

export interface Column<T> {
  /** The heading; unseen for the column of actions. */
  title: string;
  /** The role of the column: the name of the row, its actions, or data. */
  is?: "name" | "end";
  cell: (entry: T) => ComponentChildren;
}

interface Props<T> {
  caption: string;
  columns: readonly Column<T>[];
  entries: readonly T[];
  id: (entry: T) => string;
}

/** A table. On a narrow screen each row becomes a block with labels. */
export function Table<T>({ caption, columns, entries, id }: Props<T>) {
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
        {entries.map((entry) => (
          <tr key={id(entry)}>
            {columns.map((column) => (
              <td key={column.title} class={column.is ?? ""} data-label={column.title}>
                {column.is === "end" ? (
                  <div class="buttons">{column.cell(entry)}</div>
                ) : (
                  <div>{column.cell(entry)}</div>
                )}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface ListProps<T> extends Omit<Props<T>, "entries"> {
  pages: Pages<T>;
  empty: ComponentChildren;
}

/** A table that is read page by page. */
export function List<T>({ pages, empty, ...table }: ListProps<T>) {
  const text = useText();
  if (pages.entries === undefined) {
    return pages.failure ? (
      <Unread failure={pages.failure} again={pages.reload} />
    ) : (
      <Waiting words={text.common.reading} />
    );
  }
  if (pages.entries.length === 0) return <>{empty}</>;
  return (
    <>
      <Stale failure={pages.failure} />
      <Table {...table} entries={pages.entries} />
      {pages.more ? (
        <div class="more">
          <span>{text.common.firstEntries(pages.entries.length)}</span>
          <Button look="quiet" onClick={pages.showMore}>
            {text.common.showMore}
          </Button>
        </div>
      ) : null}
    </>
  );
}
