/** Fields above a list, which say what of it is shown. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useConsole } from "../app/context";
import { useQuery } from "../app/queries";
import { useFilter } from "../app/router";
import { useText } from "../text/catalogue";
import { Button } from "./button";
import { Input } from "./form";

interface Props<T> {
  /** What the list is filtered by. */
  filter: T;
  /** The same without a filter. */
  none: T;
  set: (filter: T) => void;
  /** The fields. What is typed has no effect before the form is sent: half a name matches nothing. */
  fields: (typed: T, type: (changed: Partial<T>) => void) => ComponentChildren;
  /** What the fields take. */
  help?: string;
  /** The form stands above cards, and not in one. */
  bare?: boolean;
}

export function Filters<T extends Readonly<Record<string, string>>>({
  filter,
  none,
  set,
  fields,
  help,
  bare = false,
}: Props<T>) {
  const text = useText();
  const [typed, setTyped] = useState(filter);
  const given = JSON.stringify(filter);
  // A link, or the way back, has brought another filter.
  useEffect(() => setTyped(filter), [given]);
  const isFiltered = [typed, filter].some((one) => JSON.stringify(one) !== JSON.stringify(none));
  return (
    <form
      class={bare ? "filters bare" : "filters"}
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        set(typed);
      }}
    >
      {fields(typed, (changed) => setTyped({ ...typed, ...changed }))}
      <div class="buttons">
        <Button type="submit">{text.common.search}</Button>
        {isFiltered ? (
          <Button
            onClick={() => {
              setTyped(none);
              set(none);
            }}
          >
            {text.common.clearFilter}
          </Button>
        ) : null}
      </div>
      {help ? <p class="small soft">{help}</p> : null}
    </form>
  );
}

/** How many names are suggested. */
const FEW = 10;

/** Names of accounts that begin with what is typed, as far as the caller may list them. */
export function useAccounts(typed: string, of: readonly ("person" | "service")[]): string[] {
  const { may } = useConsole();
  const params = { search: typed.trim(), limit: FEW };
  const asked = (kind: "person" | "service") => ({
    when: params.search !== "" && of.includes(kind) && may(`${kind}.list`),
  });
  const people = useQuery("person.list", params, asked("person")).data;
  const services = useQuery("service.list", params, asked("service")).data;
  return [...(people?.entries ?? []), ...(services?.entries ?? [])].map(({ name }) => name);
}

const ALL = { account: "" };

/** Chooses one account, or all. Returns its name, and the fields; they are for callers who see those of others. */
export function useAccountFilter(
  label: string,
  of: readonly ("person" | "service")[],
): [string, ComponentChildren] {
  const { may } = useConsole();
  const [filter, set] = useFilter(ALL);
  const isOffered = may("person.list");
  return [
    isOffered ? filter.account : "",
    isOffered ? (
      <Filters
        bare
        filter={filter}
        none={ALL}
        set={set}
        fields={({ account }, type) => (
          <AccountInput label={label} of={of} value={account} set={(name) => type({ account: name })} />
        )}
      />
    ) : null,
  ];
}

interface AccountProps {
  label: string;
  field?: string;
  help?: string;
  of: readonly ("person" | "service")[];
  value: string;
  set: (name: string) => void;
}

/** The name of an account. The names that begin with what is typed are offered. */
export function AccountInput({ of, ...input }: AccountProps) {
  return <Input {...input} suggestions={useAccounts(input.value, of)} />;
}
