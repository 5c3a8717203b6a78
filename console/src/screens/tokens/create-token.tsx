import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Copy } from "../../parts/copy";
import { Dialog } from "../../parts/dialog";
import { AccountInput } from "../../parts/filter";
import { Check, Form, Group, Input, Select } from "../../parts/form";
import { useProof } from "../../parts/proof-field";
import { Waiting } from "../../parts/states";
import { mistake, type Params, type Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

/** Creates a token for oneself or for a service, limited to named operations, and shows it once. */
export function CreateToken({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site, me } = useConsole();
  const [service, setService] = useState("");
  const [label, setLabel] = useState("");
  const [lifetime, setLifetime] = useState("");
  const [chosen, choose] = useState<ReadonlySet<string>>(new Set());
  const proof = useProof();
  const [token, setToken] = useState("");
  const doing = useDoing();
  const leave = (): void => {
    doing.leave();
    close();
  };
  const own = !service.trim();
  const role = own ? me.role : "service";
  if (token) {
    return (
      <Dialog title={text.tokens.isCreated} close={close} wide stays>
        <p class="note warn">{text.tokens.once}</p>
        <Copy name={text.tokens.token} value={token} secret />
        <div class="buttons">
          <Button look="main" onClick={close}>
            {text.common.close}
          </Button>
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={text.tokens.create} close={leave} wide>
      <Form
        doing={doing}
        button={text.tokens.create}
        cancel={leave}
        send={async () => {
          if (chosen.size === 0) throw mistake(text.tokens.noneChosen, "operations");
          const params: Params<"token.create"> = {
            operations: [...chosen].sort(),
            label,
          };
          if (lifetime) params.expires_in = Number(lifetime);
          if (own) await proof.prove();
          else params.service = service.trim();
          setToken((await site.call("token.create", params)).token);
          done();
        }}
      >
        <Input
          label={text.tokens.label}
          field="label"
          help={text.tokens.labelHelp}
          value={label}
          set={setLabel}
        />
        {me.role === "admin" ? (
          <AccountInput
            of={["service"]}
            label={text.tokens.service}
            field="service"
            help={text.tokens.serviceHelp}
            value={service}
            set={(name) => {
              // An operation of one role may be none of the other, and would no longer be shown.
              if (!name.trim() !== own) choose(new Set());
              setService(name);
            }}
          />
        ) : null}
        <Lifetime value={lifetime} set={setLifetime} />
        <Operations key={role} role={role} chosen={chosen} choose={choose} />
        {own ? proof.field : null}
      </Form>
    </Dialog>
  );
}

const HOUR = 3_600;
const DAY = 24 * HOUR;

/** How long the token is valid: as long as the site does by default, or a choice that the site allows. */
function Lifetime({ value, set }: { value: string; set: (seconds: string) => void }) {
  const text = useText();
  const { may } = useConsole();
  const config = useQuery("site.config_show", {}, { when: may("site.config_show") });
  const most = config.data?.access_token_lifetime ?? Infinity;
  const choices: [number, string][] = [
    [HOUR, text.tickets.hours(1)],
    ...[1, 7, 30, 90].map((count): [number, string] => [count * DAY, text.tickets.days(count)]),
  ];
  return (
    <Select
      label={text.tickets.valid}
      field="expires_in"
      value={value}
      set={set}
      options={[
        ["", text.tokens.usual],
        ...choices
          .filter(([seconds]) => seconds <= most)
          .map(([seconds, words]): [string, string] => [String(seconds), words]),
      ]}
    />
  );
}

/** The operations that a token of the role may name, found by words of their names and summaries. */
function Operations({
  role,
  chosen,
  choose,
}: {
  role: Result<"self.show">["role"];
  chosen: ReadonlySet<string>;
  choose: (chosen: ReadonlySet<string>) => void;
}) {
  const text = useText();
  const [search, setSearch] = useState("");
  const offered = useQuery("operation.list", { token_role: role });
  const words = search.toLowerCase().split(/\s+/);
  const found = offered.data?.operations
    .map(({ group, command, summary }) => ({ name: `${group}.${command}`, summary }))
    .filter(({ name, summary }) => words.every((word) => `${name} ${summary}`.toLowerCase().includes(word)));
  const toggle = (name: string, wanted: boolean): void => {
    const next = new Set(chosen);
    if (wanted) next.add(name);
    else next.delete(name);
    choose(next);
  };
  return (
    <Group
      field="operations"
      label={
        <>
          {text.tokens.operations} <span class="soft">{text.tokens.chosen(chosen.size)}</span>
        </>
      }
    >
      <Input label={text.tokens.search} type="search" value={search} set={setSearch} placeholder="alarm" />
      <div class="choices scroll">
        {found?.map(({ name, summary }) => (
          <Check
            key={name}
            label={name}
            help={summary}
            value={chosen.has(name)}
            set={(wanted) => toggle(name, wanted)}
          />
        )) ?? <Waiting words={text.common.reading} />}
        {found?.length === 0 ? <p class="soft">{text.tokens.notFound}</p> : null}
      </div>
    </Group>
  );
}
