// Compiled by types.test.mjs, not run.
import createClient from 'openapi-fetch';
import type { paths, Problem, Result } from '../index.js';

const api = createClient<paths>({ baseUrl: 'https://site.example/api/v1' });

/** Two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

export async function rest(): Promise<void> {
  const { data, error, response } = await api.GET('/persons/{name}', { params: { path: { name: 'maria' } } });
  if (data) same<typeof data, Result<'person.show'>>(true);
  if (error) same<typeof error, Problem>(true);
  console.log(response.status);
  // @ts-expect-error The path has a parameter.
  await api.GET('/persons/{name}');
  // @ts-expect-error No such path.
  await api.GET('/person/{name}', { params: { path: { name: 'maria' } } });
  // @ts-expect-error No such method of the path.
  await api.PUT('/persons/{name}', { params: { path: { name: 'maria' } } });

  const page = await api.GET('/alarms', { params: { query: { limit: 10 } } });
  console.log(page.data?.entries.map((alarm) => alarm.severity));
  await api.GET('/alarms');
  // @ts-expect-error A number.
  await api.GET('/alarms', { params: { query: { limit: 'ten' } } });
  // @ts-expect-error No such parameter.
  await api.GET('/alarms', { params: { query: { limits: 10 } } });

  const header = { 'Idempotency-Key': 'one', 'If-Match': '"4"' };
  const created = await api.POST('/persons', { params: { header }, body: { name: 'ada' } });
  if (created.data) same<typeof created.data, Result<'person.create'>>(true);
  // @ts-expect-error The body has a field that is needed.
  await api.POST('/persons', { body: {} });
  // @ts-expect-error There is a body.
  await api.POST('/persons');
  // The name is in the path.
  await api.PATCH('/persons/{name}', { params: { path: { name: 'ada' } }, body: { full_name: 'Ada' } });
  // @ts-expect-error A role.
  await api.PATCH('/persons/{name}', { params: { path: { name: 'ada' } }, body: { role: 'queen' } });
  await api.DELETE('/persons/{name}', { params: { path: { name: 'ada' } } });

  const log = await api.GET('/audit/export', { parseAs: 'blob' });
  if (log.data) same<typeof log.data, Blob>(true);
}
