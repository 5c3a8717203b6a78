/** Text with commands between backticks, as the site writes its messages. */
export function Marked({ children }: { children: string }) {
  return (
    <>
      {children.split("`").map((part, at) =>
        at % 2 === 1 ? (
          <code key={at} class="inline">
            {part}
          </code>
        ) : (
          part
        ),
      )}
    </>
  );
}
