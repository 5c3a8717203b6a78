import { encode } from "../qr/encode";

/** A QR code as one path. It is dark on white in both colour schemes, so that every reader reads it. */
export function Qr({ value, name }: { value: string; name: string }) {
  const rows = encode(value);
  const size = rows.length + 2;
  const path = rows
    .flatMap((row, y) => row.map((dark, x) => (dark ? `M${x + 1} ${y + 1}h1v1h-1z` : "")))
    .join("");
  return (
    <svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={name} shape-rendering="crispEdges">
      <path d={path} fill="#000" />
    </svg>
  );
}
