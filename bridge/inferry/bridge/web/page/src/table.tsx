// A table of any length: only the rows that can be seen are there.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Column<T> {
  name: string;
  /** Width in px; 0 takes what is left. */
  width: number;
  /** Left out where there is no room. */
  wide?: boolean;
  cell: (row: T) => ComponentChildren;
}

/** As the sheet has it. */
const ROW = 30;
const AROUND = 12;

export function LongTable<T>({ label, columns, rows, count, keyOf, onEnd, onShown }: {
  label: string;
  columns: Column<T>[];
  rows: T[];
  /** How many of the rows are shown. */
  count: number;
  keyOf: (row: T) => string;
  /** The last row is near. */
  onEnd: () => void;
  /** Which rows can be seen. */
  onShown?: (from: number, to: number) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const look = () => {
    if (!place.current) return;
    const { scrollTop, clientHeight } = place.current;
    setView({ top: scrollTop, height: clientHeight });
  };
  useEffect(() => {
    const sizes = new ResizeObserver(look);
    sizes.observe(place.current!);
    return () => sizes.disconnect();
  }, []);
  const from = Math.max(0, Math.min(Math.floor(view.top / ROW), count) - AROUND);
  const to = Math.min(count, Math.ceil((view.top + view.height) / ROW) + AROUND);
  useEffect(() => {
    if (to >= count - 50) onEnd();
    onShown?.(from, to);
  });
  const classOf = (one: Column<T>) => (one.wide ? "wide" : undefined);
  return (
    <div class="long" ref={place} tabIndex={0} role="region" aria-label={label} onScroll={look}>
      <table aria-rowcount={count + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((one) => (
              <th scope="col" class={classOf(one)} style={{ width: one.width ? `${one.width}px` : "" }}>
                {one.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          <tr aria-hidden="true" style={{ height: `${from * ROW}px` }} />
          {rows.slice(from, to).map((row, index) => (
            <tr key={keyOf(row)} aria-rowindex={from + index + 2}>
              {columns.map((one) => <td class={classOf(one)}>{one.cell(row)}</td>)}
            </tr>
          ))}
          <tr aria-hidden="true" style={{ height: `${(count - to) * ROW}px` }} />
        </tbody>
      </table>
    </div>
  );
}
