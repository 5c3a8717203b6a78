import { Copy } from "../../parts/copy";
import { Card, Facts, Page } from "../../parts/page";
import { useText } from "../../text/catalogue";
import { KeyEvents } from "./key-events";

/** The commands of a local admin, with the names of their texts. */
const COMMANDS = [
  ["slots", "countersign site key slots list"],
  ["test", "countersign site key slots test --recovery-code"],
  ["passPhrase", "countersign site key passphrase"],
  ["recovery", "countersign site key recovery --next"],
  ["newKey", "countersign site key new"],
] as const;

/** The site key. A session changes nothing of it: only a local admin calls these operations. */
export function Keys() {
  const text = useText();
  return (
    <Page title={text.screens.keys} about={text.keys.about}>
      <KeyEvents />
      <Card title={text.keys.local} about={text.keys.localAbout}>
        <div class="body">
          <Facts
            facts={COMMANDS.map(([name, command]) => [
              text.keys.commands[name],
              <Copy key={name} name={text.keys.commands[name]} value={command} />,
            ])}
          />
        </div>
      </Card>
    </Page>
  );
}
