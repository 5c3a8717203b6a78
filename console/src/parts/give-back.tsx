import { useConsole } from "../app/context";
import { orReread } from "../app/queries";
import type { Params } from "../site/contract";
import { useText } from "../text/catalogue";
import { Act, type Look } from "./button";

type GivesBack = "person.unlock" | "person.enable" | "service.unlock" | "service.enable" | "app.unlock";

/** Gives a locked or disabled account or application its access back. */
export function GiveBack({
  of,
  name,
  etag,
  state,
  look = "main",
  reload,
}: {
  of: "person" | "service" | "app";
  name: string;
  /** That of the object. */
  etag: string;
  state: string;
  look?: Look;
  reload: () => void;
}) {
  const text = useText();
  const { site, may } = useConsole();
  const verb = state === "locked" ? "unlock" : state === "disabled" && of !== "app" ? "enable" : undefined;
  if (!verb) return null;
  const operation = `${of}.${verb}` as GivesBack;
  if (!may(operation)) return null;
  const [words, done] =
    verb === "unlock"
      ? [text.people.unlock, text.people.unlocked(name)]
      : [text.people.enable, text.people.enabled(name)];
  return (
    <Act
      look={look}
      name={`${words} ${name}`}
      act={() => {
        const object = (of === "app" ? { id: name } : { name }) as Params<GivesBack>;
        return orReread(site.call(operation, { ...object, if_match: etag }), reload);
      }}
      said={done}
      done={reload}
    >
      {words}
    </Act>
  );
}
