import { useText, type Text } from "../text/catalogue";
import { Marked } from "./marked";

interface Alarm {
  text: string;
  /** The name of the raiser. That of an account has an `@`. */
  raised_by: string;
}

/** The name under which the site raises alarms itself. */
const SITE = "site";

interface Props {
  alarm: Alarm;
  /** The text stands by itself, so that a screen that it names can be a link. */
  alone?: boolean;
}

/**
 * What an alarm says. The site's own alarms name operations, which are shown in the words of the console. Any other
 * raiser writes what it likes: its text is quoted as it is, so that it cannot pass for advice of the site.
 */
export function AlarmText({ alarm: { text, raised_by }, alone = false }: Props) {
  return raised_by === SITE ? <Marked inLink={!alone}>{text}</Marked> : <q>{text}</q>;
}

/** The name of the raiser in a sentence. */
export const raiserOf = ({ raised_by }: Pick<Alarm, "raised_by">, { alarms }: Text): string =>
  raised_by === SITE ? alarms.theSite : raised_by;

/** Who raised an alarm, beside its text. */
export function RaisedBy({ alarm }: { alarm: Pick<Alarm, "raised_by"> }) {
  const text = useText();
  return (
    <>
      {text.alarms.raisedBy} {raiserOf(alarm, text)}
    </>
  );
}
