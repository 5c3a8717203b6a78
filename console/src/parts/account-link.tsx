/** Where a name leads: to the page of the account, and to what the audit log has about it. */
import { useConsole } from "../app/context";
import { filtered, to } from "../app/router";
import { useText } from "../text/catalogue";

/** The name of an account. A line ends before its zone, rather than in a word. */
export function Account({ name }: { name: string }) {
  const at = name.lastIndexOf("@");
  return (
    <span class="account">
      {at < 0 ? (
        name
      ) : (
        <>
          {name.slice(0, at)}
          <wbr />
          {name.slice(at)}
        </>
      )}
    </span>
  );
}

/** The name of an account, as a link to its page for those who may read it. */
export function AccountLink({ name, is = "person" }: { name: string; is?: "person" | "service" }) {
  const { may } = useConsole();
  if (!may(`${is}.show`)) return <Account name={name} />;
  return (
    <a class="account" href={to(is === "person" ? "people" : "services", name)}>
      <Account name={name} />
    </a>
  );
}

/** The entries of the audit log about an object, and about what it did itself. */
export function AuditLinks({ target, actor }: { target: string; actor?: string }) {
  const text = useText();
  const log = to("audit");
  return (
    <>
      <div>
        <a href={filtered(log, { target })}>{text.common.auditAbout(target)}</a>
      </div>
      {actor ? (
        <div>
          <a href={filtered(log, { actor })}>{text.common.auditBy(actor)}</a>
        </div>
      ) : null}
    </>
  );
}
