import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Form, Input } from "../../parts/form";
import { FileField } from "../../parts/file-field";
import type { Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

/** Loads a person from a dump. */
export function LoadPerson({
  close,
  done,
}: {
  close: () => void;
  done: (made: Result<"person.load">) => void;
}) {
  const text = useText();
  const { site, say } = useConsole();
  const [dump, setDump] = useState("");
  const doing = useDoing();
  return (
    <>
      <p class="soft">{text.people.loadAbout}</p>
      <Form
        doing={doing}
        button={text.people.load}
        cancel={close}
        send={async () => {
          const made = await site.call("person.load", { dump });
          say(text.people.created(made.name));
          done(made);
        }}
      >
        <FileField label={text.people.dumpFile} set={setDump} />
        <Input label={text.people.dump} field="dump" lines={8} mono value={dump} set={setDump} />
      </Form>
    </>
  );
}
