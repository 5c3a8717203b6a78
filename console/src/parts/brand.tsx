/** The mark: one check countersigned by another. */
export function Brand() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#1d5a7a" />
      <g fill="none" stroke-width="3" stroke-linecap="round" stroke-linejoin="round">
        <path d="M7 17.5 12 23 20.5 10" stroke="#fff" />
        <path d="M17.5 21.5 19 23 25.5 13" stroke="#8fd0ee" />
      </g>
    </svg>
  );
}
