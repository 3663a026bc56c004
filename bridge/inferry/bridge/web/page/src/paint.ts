// The page is painted four times a second at most, however much happens.
import { batch, signal } from "@preact/signals";

import { seen } from "./live";

const PAINT_MS = 250;

/** What is shown of what changes by itself reads this. */
export const tick = signal(0);
/** The time, for ages that grow. */
export const now = signal(Date.now());

let last = 0;
let due = false;

/** Says that something changed that is shown. */
export function changed(): void {
  if (due) return;
  due = true;
  setTimeout(
    () => {
      due = false;
      last = performance.now();
      batch(() => {
        tick.value++;
        now.value = Date.now();
      });
    },
    Math.max(0, last + PAINT_MS - performance.now()),
  );
}

setInterval(() => seen.value && changed(), 1_000);
