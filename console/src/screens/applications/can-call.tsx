import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Marked } from "../../parts/marked";
import { Card, Facts } from "../../parts/page";
import { Input, Select } from "../../parts/form";
import { Failed, Waiting, sentence } from "../../parts/states";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

/** Answers whether A may call B, and if not, why. Issues no ticket. */
export function CanCall({ consumer }: { consumer?: string }) {
  const text = useText();
  const { site } = useConsole();
  const apps = useQuery("app.list", { limit: 1000 });
  const [from, setFrom] = useState(consumer ?? "");
  const [to, setTo] = useState("");
  const [answer, setAnswer] = useState<Result<"app.ticket">>();
  const doing = useDoing();
  if (!apps.data && !apps.failure) return <Waiting words={text.common.reading} />;
  const entries = apps.data?.entries ?? [];
  const ids = entries.map(({ id }) => id);
  const callees = entries.flatMap(({ may_call }) =>
    may_call.flatMap((party) => ("foreign" in party ? party.foreign : [])),
  );
  const consumers = [...new Set([...ids, ...entries.flatMap(({ callers }) => callers ?? [])])];
  const providers = [...new Set([...ids, ...callees])];
  if (new Set([...consumers, ...providers]).size < 2) return null;
  const choose = (set: (id: string) => void) => (id: string) => {
    setAnswer(undefined);
    doing.clear();
    set(id);
  };
  // There are more than a list can offer, so their ids are typed.
  const typed = Boolean(apps.data?.next);
  const options = (names: readonly string[]) => [
    ["", text.applications.choose] as const,
    ...names.map((name) => [name, name] as const),
  ];
  return (
    <Card title={text.applications.canCall} about={text.applications.canCallAbout}>
      <form
        class="body"
        onSubmit={(event) => {
          event.preventDefault();
          if (from && to)
            void doing.run(async () =>
              setAnswer(await site.call("app.ticket", { consumer: from, provider: to })),
            );
        }}
      >
        <div class="can">
          {typed ? (
            <Input label={text.applications.consumer} value={from} set={choose(setFrom)} />
          ) : (
            <Select
              label={text.applications.consumer}
              value={from}
              set={choose(setFrom)}
              options={options(consumers)}
            />
          )}
          <span>{text.applications.calls}</span>
          {typed ? (
            <Input label={text.applications.provider} value={to} set={choose(setTo)} />
          ) : (
            <Select
              label={text.applications.provider}
              value={to}
              set={choose(setTo)}
              options={options(providers)}
            />
          )}
          <Button type="submit" busy={doing.busy} off={!from || !to}>
            {text.applications.ask}
          </Button>
        </div>
        <div class="stack" aria-live="polite">
          <Failed failure={doing.failure} />
          {answer ? <Answer answer={answer} from={from} to={to} /> : null}
        </div>
      </form>
    </Card>
  );
}

function Answer({ answer, from, to }: { answer: Result<"app.ticket">; from: string; to: string }) {
  const text = useText();
  if (!answer.granted) {
    return (
      <div class="note warn">
        <strong>{text.applications.no(from, to)}</strong>{" "}
        <span lang="en">
          <Marked>{sentence(answer.why_not ?? "")}</Marked>
        </span>
      </div>
    );
  }
  return (
    <>
      <div class="note good">
        <strong>
          {answer.edition === "v2" && `${from}${to}`.includes("@")
            ? text.applications.allowedHere(from, to)
            : text.applications.yes(from, to)}
        </strong>
      </div>
      <Facts
        facts={[
          [text.applications.edition, answer.edition],
          [text.applications.lifetime, text.applications.seconds(answer.lasts / 1000)],
          [text.applications.suite, answer.suite],
          [text.applications.cipher, answer.cipher],
          [text.applications.hash, answer.hash],
        ]}
      />
    </>
  );
}
