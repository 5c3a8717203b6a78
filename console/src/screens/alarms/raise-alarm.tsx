import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { FormDialog } from "../../parts/form-dialog";
import { Input, Select } from "../../parts/form";
import { useText } from "../../text/catalogue";

export function RaiseAlarm({ close, done }: { close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [to, setTo] = useState("admins");
  const [words, setWords] = useState("");
  const [key, setKey] = useState("");
  const [severity, setSeverity] = useState<"info" | "warning" | "critical">("warning");
  return (
    <FormDialog
      title={text.alarms.raise}
      button={text.alarms.raise}
      close={close}
      send={() => site.call("alarm.raise", { to: to.trim(), text: words, severity, ...(key ? { key } : {}) })}
      said={() => text.alarms.wasRaised}
      done={done}
    >
      <Input label={text.alarms.text} field="text" help={text.alarms.textHelp} value={words} set={setWords} />
      <Input label={text.alarms.to} field="to" help={text.alarms.toHelp} value={to} set={setTo} />
      <Select
        label={text.alarms.severity}
        field="severity"
        value={severity}
        set={setSeverity}
        options={[
          ["info", text.states.info],
          ["warning", text.states.warning],
          ["critical", text.states.critical],
        ]}
      />
      <Input label={text.alarms.key} field="key" help={text.alarms.keyHelp} value={key} set={setKey} />
    </FormDialog>
  );
}
