import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { Facts } from "../../parts/page";
import { Card } from "../../parts/page";
import { Input, Select } from "../../parts/form";
import { Failed, sentence } from "../../parts/states";
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
  const ids = apps.data?.entries.map(({ id }) => id) ?? [];
  if (ids.length < 2) return null;
  const choose = (set: (id: string) => void) => (id: string) => {
    setAnswer(undefined);
    doing.clear();
    set(id);
  };
  // There are more than a list can offer, so their ids are typed.
  const typed = Boolean(apps.data?.next);
  const options = [["", text.applications.choose] as const, ...ids.map((id) => [id, id] as const)];
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
            <Select label={text.applications.consumer} value={from} set={choose(setFrom)} options={options} />
          )}
          <span>{text.applications.calls}</span>
          {typed ? (
            <Input label={text.applications.provider} value={to} set={choose(setTo)} />
          ) : (
            <Select label={text.applications.provider} value={to} set={choose(setTo)} options={options} />
          )}
          <Button type="submit" busy={doing.busy} off={!from || !to}>
            {text.applications.ask}
          </Button>
        </div>
        <div aria-live="polite">
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
        <span lang="en">{sentence(answer.why_not ?? "")}</span>
      </div>
    );
  }
  return (
    <>
      <div class="note good">
        <strong>{text.applications.yes(from, to)}</strong>
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
