import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing } from "../../app/queries";
import { Dialog } from "../../parts/dialog";
import { Form, Input } from "../../parts/form";
import { useText } from "../../text/catalogue";

interface Props {
  /** The recipient; may be empty. */
  to: string;
  close: () => void;
  done: () => void;
}

export function WriteMessage({ to: first, close, done }: Props) {
  const text = useText();
  const { site, say } = useConsole();
  const [to, setTo] = useState(first);
  const [words, setWords] = useState("");
  const doing = useDoing();
  const leave = (): void => {
    doing.leave();
    close();
  };
  return (
    <Dialog title={text.messages.write} close={leave}>
      <p>{text.messages.writeAbout}</p>
      <Form
        doing={doing}
        button={text.messages.send}
        cancel={leave}
        send={() => site.call("peer.send", { to: to.trim(), text: words })}
        done={() => {
          say(text.messages.sent(to.trim()));
          close();
          done();
        }}
      >
        <Input label={text.messages.to} field="to" help={text.messages.toHelp} value={to} set={setTo} />
        <Input label={text.messages.text} field="text" lines={6} value={words} set={setWords} />
      </Form>
    </Dialog>
  );
}
