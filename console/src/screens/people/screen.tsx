import { Person } from "./person";
import { PeopleList } from "./people-list";

export function People({ place }: { place: string[] }) {
  return place[0] ? <Person name={place[0]} /> : <PeopleList />;
}
