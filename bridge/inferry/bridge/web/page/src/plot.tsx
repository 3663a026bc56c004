// Lines over time, drawn as SVG: colours come from the sheet, and all plots of a page share one cursor.
import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";

import { clock } from "./words";

export interface Line {
  name: string;
  /** A tone of the sheet; the second one is dashed, the third dotted: colour is not all that tells. */
  tone: string;
  values: number[];
}

const [WIDE, HIGH] = [600, 120];
/** Where the cursor is, as a share of the time that is shown; below 0 it is nowhere. */
const cursor = signal(-1);

/** Rounds up to 1, 2 or 5 times a power of ten. */
function above(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= value)!;
}

function pathOf(values: number[], top: number): string {
  const step = WIDE / Math.max(1, values.length - 1);
  let pen = "M";
  return values
    .map((value, place) => {
      // What nobody knows is a hole, not a zero.
      if (value < 0) {
        pen = "M";
        return "";
      }
      const point = `${pen}${(place * step).toFixed(1)} ${(HIGH - (value / top) * HIGH).toFixed(1)}`;
      pen = "L";
      return point;
    })
    .join("");
}

export function Plot({ title, from, step, lines, print }: {
  title: string;
  /** When the first column begins, in ms. */
  from: number;
  /** What a column takes, in ms. */
  step: number;
  lines: Line[];
  print: (value: number) => string;
}) {
  const place = useRef<HTMLDivElement>(null);
  const count = lines[0]?.values.length ?? 0;
  const top = above(Math.max(1e-9, ...lines.flatMap((one) => one.values)) );
  const at = cursor.value < 0 ? count - 1 : Math.round(cursor.value * (count - 1));
  const move = (e: PointerEvent) => {
    const { left, width } = place.current!.getBoundingClientRect();
    cursor.value = Math.min(1, Math.max(0, (e.clientX - left) / width));
  };
  const told = (value = -1) => (value < 0 ? "–" : print(value));
  return (
    <figure class="plot">
      <figcaption>
        <h2>{title}</h2>
        {lines.map((one) => (
          <span class={`line ${one.tone}`}>
            <svg viewBox="0 0 18 4" aria-hidden="true"><path d="M0 2h18" /></svg>
            {one.name} <b>{told(one.values[at])}</b>
          </span>
        ))}
      </figcaption>
      <div ref={place} class="field" role="img" onPointerMove={move} onPointerLeave={() => (cursor.value = -1)}
        aria-label={`${title}: ${lines.map((one) => `${one.name} ${told(one.values.at(-1))}`).join(", ")}`}>
        <svg viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none">
          <path class="grid" d={`M0 0H${WIDE}M0 ${HIGH / 2}H${WIDE}M0 ${HIGH}H${WIDE}`} />
          {lines.map((one) => <path class={`line ${one.tone}`} d={pathOf(one.values, top)} />)}
          {cursor.value >= 0 && count > 1 && <path class="cursor" d={`M${(at / (count - 1)) * WIDE} 0V${HIGH}`} />}
        </svg>
        <span class="top">{print(top)}</span>
      </div>
      <p class="times">
        <span>{clock(from)}</span>
        <span>{cursor.value >= 0 && clock(from + at * step)}</span>
        <span>{clock(from + (count - 1) * step)}</span>
      </p>
    </figure>
  );
}
