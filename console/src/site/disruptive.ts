/** Which operations may interrupt or remove something that another user is using, as the site's list of them says. */
import type { Result } from "./contract";

type Described = Result<"operation.list">["operations"][number];

/** What the list says of one operation. */
export type Disruption = Pick<Described, "disruptive" | "disruptive_when">;

/** Whether the operation is disruptive with these parameters, so that the user is asked first. */
export function isDisruptive(described: Disruption, params: Readonly<Record<string, unknown>>): boolean {
  const holds = ({ parameter, is }: NonNullable<Disruption["disruptive_when"]>[number]): boolean => {
    const given = params[parameter] ?? undefined;
    if (is === "absent") return given === undefined;
    if (typeof is === "object" && "one_of" in is) return is.one_of.some((text) => text === given);
    if (typeof is === "object" && "without" in is)
      return Array.isArray(given) && is.without.some((text) => !given.includes(text));
    // A condition of a later version may hold.
    return true;
  };
  return described.disruptive || (described.disruptive_when ?? []).some(holds);
}
