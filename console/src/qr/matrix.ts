/** Draws the modules of a QR code: function patterns, data, and the mask with the lowest penalty. */

type Grid = boolean[][];

const MASKS: readonly ((x: number, y: number) => boolean)[] = [
  (x, y) => (x + y) % 2 === 0,
  (_, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

const at = (grid: Grid, x: number, y: number): boolean => grid[y]?.[x] ?? false;

function put(grid: Grid, x: number, y: number, dark: boolean): void {
  const row = grid[y];
  if (row && x >= 0 && x < row.length) row[x] = dark;
}

/** Places of the alignment patterns along one side. */
function alignment(version: number, size: number): number[] {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2;
  const places = [6];
  for (let place = size - 7; places.length < count; place -= step) places.splice(1, 0, place);
  return places;
}

function remainder(value: number, polynomial: number, degree: number): number {
  let rest = value;
  for (let step = 0; step < degree; step += 1) rest = (rest << 1) ^ ((rest >>> (degree - 1)) * polynomial);
  return rest;
}

export function draw(version: number, bytes: readonly number[]): Grid {
  const size = version * 4 + 17;
  const blank = (): Grid => Array.from({ length: size }, () => Array<boolean>(size).fill(false));
  const dark = blank();
  const reserved = blank();
  const set = (x: number, y: number, is: boolean): void => {
    put(dark, x, y, is);
    put(reserved, x, y, true);
  };

  for (let place = 0; place < size; place += 1) {
    set(6, place, place % 2 === 0);
    set(place, 6, place % 2 === 0);
  }
  for (const [cx, cy] of [
    [3, 3],
    [size - 4, 3],
    [3, size - 4],
  ] as const) {
    for (let dy = -4; dy <= 4; dy += 1) {
      for (let dx = -4; dx <= 4; dx += 1) {
        const ring = Math.max(Math.abs(dx), Math.abs(dy));
        set(cx + dx, cy + dy, ring !== 2 && ring !== 4);
      }
    }
  }
  const places = alignment(version, size);
  const last = places.length - 1;
  for (const [i, cx] of places.entries()) {
    for (const [j, cy] of places.entries()) {
      if ((i === 0 && j === 0) || (i === 0 && j === last) || (i === last && j === 0)) continue;
      for (let dy = -2; dy <= 2; dy += 1) {
        for (let dx = -2; dx <= 2; dx += 1) set(cx + dx, cy + dy, Math.max(Math.abs(dx), Math.abs(dy)) !== 1);
      }
    }
  }
  if (version >= 7) {
    const bits = (version << 12) | remainder(version, 0x1f25, 12);
    for (let bit = 0; bit < 18; bit += 1) {
      const is = ((bits >>> bit) & 1) === 1;
      const a = size - 11 + (bit % 3);
      const b = Math.floor(bit / 3);
      set(a, b, is);
      set(b, a, is);
    }
  }
  format(0);

  let bit = 0;
  for (let right = size - 1; right >= 1; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step += 1) {
      for (let side = 0; side < 2; side += 1) {
        const x = right - side;
        const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
        if (at(reserved, x, y) || bit >= bytes.length * 8) continue;
        put(dark, x, y, (((bytes[bit >>> 3] ?? 0) >>> (7 - (bit & 7))) & 1) === 1);
        bit += 1;
      }
    }
  }

  let best = 0;
  let least = Infinity;
  for (const mask of MASKS.keys()) {
    apply(mask);
    format(mask);
    const now = penalty(dark);
    if (now < least) [best, least] = [mask, now];
    apply(mask);
  }
  apply(best);
  format(best);
  return dark;

  function apply(mask: number): void {
    const flips = MASKS[mask];
    for (let y = 0; y < size; y += 1) {
      for (let x = 0; x < size; x += 1) {
        if (!at(reserved, x, y) && flips?.(x, y)) put(dark, x, y, !at(dark, x, y));
      }
    }
  }

  /** The format of level M (0) with a mask, twice. */
  function format(mask: number): void {
    const bits = ((mask << 10) | remainder(mask, 0x537, 10)) ^ 0x5412;
    const is = (place: number): boolean => ((bits >>> place) & 1) === 1;
    for (let place = 0; place <= 5; place += 1) set(8, place, is(place));
    set(8, 7, is(6));
    set(8, 8, is(7));
    set(7, 8, is(8));
    for (let place = 9; place < 15; place += 1) set(14 - place, 8, is(place));
    for (let place = 0; place < 8; place += 1) set(size - 1 - place, 8, is(place));
    for (let place = 8; place < 15; place += 1) set(8, size - 15 + place, is(place));
    set(8, size - 8, true);
  }
}

/** How hard the code is to read: runs, blocks, false finders and imbalance. */
function penalty(grid: Grid): number {
  const size = grid.length;
  let total = 0;
  let count = 0;
  const lines = [grid, grid.map((_, x) => grid.map((row) => row[x] ?? false))];
  for (const side of lines) {
    for (const line of side) {
      let run = 0;
      for (const [place, dark] of line.entries()) {
        run = place > 0 && dark === line[place - 1] ? run + 1 : 1;
        if (run === 5) total += 3;
        else if (run > 5) total += 1;
      }
      const letters = line.map((dark) => (dark ? "1" : "0")).join("");
      for (const finder of ["10111010000", "00001011101"]) {
        for (let from = letters.indexOf(finder); from >= 0; from = letters.indexOf(finder, from + 1))
          total += 40;
      }
    }
  }
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      const dark = at(grid, x, y);
      if (dark) count += 1;
      if (
        x + 1 < size &&
        y + 1 < size &&
        dark === at(grid, x + 1, y) &&
        dark === at(grid, x, y + 1) &&
        dark === at(grid, x + 1, y + 1)
      )
        total += 3;
    }
  }
  return total + Math.floor(Math.abs((count * 20) / (size * size) - 10)) * 10;
}
