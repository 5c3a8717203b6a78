/** A host and its port. A line ends before the colon or within the host, and never within the port. */
export function Address({ of }: { of: string }) {
  const [, host = of, port = ""] = /^(.+)(:\d{1,5})$/.exec(of) ?? [];
  return (
    <span class="break">
      {host}
      <wbr />
      <span class="whole">{port}</span>
    </span>
  );
}
